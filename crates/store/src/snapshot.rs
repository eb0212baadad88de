//! One version of all tables.

use crate::table::{AnyTable, Table, TableView};
use std::any::TypeId;
use std::collections::HashMap;
use std::sync::Arc;

/// The tables of a store; [`crate::tables::schema`] gives Longshore's.
#[derive(Default)]
pub struct Schema {
    positions: HashMap<TypeId, usize>,
    tables: Vec<Arc<dyn AnyTable>>,
}

impl Schema {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a table. Two tables of one name are a bug and panic.
    #[must_use]
    pub fn with<T: Table>(mut self) -> Self {
        assert!(self.tables.iter().all(|table| table.name() != T::NAME), "two tables are named {}", T::NAME);
        self.positions.insert(TypeId::of::<T>(), self.tables.len());
        self.tables.push(Arc::new(TableView::<T>::new()));
        self
    }

    pub(crate) fn empty(self) -> Snapshot {
        Snapshot(Arc::new(State { revision: 0, positions: Arc::new(self.positions), tables: self.tables }))
    }
}

/// All tables at one revision. Cheap to clone and to keep; it never changes, and holds up nobody.
#[derive(Clone)]
pub struct Snapshot(Arc<State>);

#[derive(Clone)]
struct State {
    revision: u64,
    positions: Arc<HashMap<TypeId, usize>>,
    tables: Vec<Arc<dyn AnyTable>>,
}

impl Snapshot {
    /// The revision of the last transaction that this snapshot includes.
    pub fn revision(&self) -> u64 {
        self.0.revision
    }

    /// The rows of one table. A table that is not in the store's schema is a bug and panics.
    pub fn table<T: Table>(&self) -> &TableView<T> {
        let table = &self.0.tables[self.position::<T>()];
        table.as_any().downcast_ref().expect("a table's position holds its view")
    }

    pub(crate) fn table_mut<T: Table>(&mut self) -> &mut TableView<T> {
        let position = self.position::<T>();
        self.any_mut(position).as_any_mut().downcast_mut().expect("a table's position holds its view")
    }

    pub(crate) fn position<T: Table>(&self) -> usize {
        match self.0.positions.get(&TypeId::of::<T>()) {
            Some(position) => *position,
            None => panic!("table {} is not in the store's schema", T::NAME),
        }
    }

    pub(crate) fn tables(&self) -> &[Arc<dyn AnyTable>] {
        &self.0.tables
    }

    /// The table at `position`, forked first if another version shares it.
    pub(crate) fn any_mut(&mut self, position: usize) -> &mut dyn AnyTable {
        let slot = &mut Arc::make_mut(&mut self.0).tables[position];
        if Arc::get_mut(slot).is_none() {
            *slot = slot.fork();
        }
        Arc::get_mut(slot).expect("a fork has one owner")
    }

    pub(crate) fn set_revision(&mut self, revision: u64) {
        Arc::make_mut(&mut self.0).revision = revision;
    }
}
