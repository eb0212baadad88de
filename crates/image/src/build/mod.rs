//! x
use serde::{Deserialize, Serialize};
use crate::store::record::LayerRecord;
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CachedStep { pub layer: Option<LayerRecord> }
