//! How much an image may ask of this machine before it is refused.

/// Bounds on foreign content. Each is checked while reading, before memory or disk is spent.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Uncompressed bytes of one layer's archive.
    pub layer_bytes_max: u64,
    /// Entries (files, directories, links) of one layer.
    pub layer_entries_max: u64,
    /// Layers of one image. overlayfs itself stops at 500.
    pub layers_max: usize,
    /// Bytes of one manifest or index.
    pub manifest_bytes_max: u64,
    /// Bytes of one image configuration.
    pub config_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            layer_bytes_max: 32 << 30,
            layer_entries_max: 2_000_000,
            layers_max: 256,
            manifest_bytes_max: 4 << 20,
            config_bytes_max: 8 << 20,
        }
    }
}
