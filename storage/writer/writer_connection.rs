//! The writing connection, and whether anybody else wrote since it was last looked at: a person with a
//! SQLite shell. Commits of this connection do not count, nor do checkpoints beside it; a snapshot that
//! takes the database's place comes through it.

use crate::sqlite::connection::read_pragma;
use rusqlite::Connection;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// See the module. Cheap to clone; the writing thread holds it while it works.
#[derive(Clone)]
pub(crate) struct WriterConnection(Arc<Mutex<WriterConnectionState>>);

/// What is held.
pub(crate) struct WriterConnectionState {
    /// None after a failure, until the next transaction.
    connection: Option<Connection>,
    /// `PRAGMA data_version` when it was last looked at: it is this connection's own number. None where
    /// the connection was opened since.
    data_version: Option<i64>,
    /// Whether a change by others was found that nobody has been told of.
    externally_changed: bool,
}

impl WriterConnection {
    /// A connection that was just opened, over a database that nothing was read from yet.
    pub(crate) fn new(connection: Connection) -> Self {
        Self(Arc::new(Mutex::new(WriterConnectionState {
            connection: Some(connection),
            data_version: None,
            externally_changed: false,
        })))
    }

    /// Waits for whoever has it: the writing thread for as long as a transaction takes, or a look.
    pub(crate) fn lock(&self) -> MutexGuard<'_, WriterConnectionState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on changes by others are noticed.
    pub(crate) fn start_watching(&self) -> rusqlite::Result<()> {
        self.lock().note_version()
    }

    /// Whether somebody else has changed the database since this was last asked, as far as can be said
    /// without waiting: while the writing thread works it looks itself, and a failure is its own.
    pub(crate) fn take_external_change(&self) -> bool {
        let Ok(mut held) = self.0.try_lock() else {
            return false;
        };
        // A connection that cannot be read is opened anew by the next transaction.
        let _ = held.check_external_change();
        std::mem::take(&mut held.externally_changed)
    }
}

impl WriterConnectionState {
    /// The connection, if there is one.
    pub(crate) fn get(&mut self) -> Option<&mut Connection> {
        self.connection.as_mut()
    }

    /// Puts a connection in that was opened after a failure. What others did meanwhile it cannot tell:
    /// it counts as a change.
    pub(crate) fn put(&mut self, connection: Connection) {
        self.connection = Some(connection);
        self.data_version = None;
        self.externally_changed = true;
    }

    /// It is not to be used again.
    pub(crate) fn drop_connection(&mut self) {
        self.connection = None;
    }

    /// Looks whether others have changed the database. What they commit between this and a commit of this
    /// connection is seen by the next look.
    pub(crate) fn check_external_change(&mut self) -> rusqlite::Result<()> {
        let before = self.data_version;
        self.note_version()?;
        self.externally_changed |= before.is_some() && before != self.data_version;
        Ok(())
    }

    fn note_version(&mut self) -> rusqlite::Result<()> {
        if let Some(connection) = &self.connection {
            self.data_version = Some(read_pragma(connection, "data_version")?);
        }
        Ok(())
    }

    /// The database was replaced through this connection, and everybody is told of that otherwise.
    pub(crate) fn note_replaced(&mut self) -> rusqlite::Result<()> {
        self.externally_changed = false;
        self.note_version()
    }
}
