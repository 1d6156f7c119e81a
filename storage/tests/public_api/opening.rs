//! Opening: what is found in the data directory.

use crate::fixtures::*;
use calldex_storage::record::NameState;
use calldex_storage::{OpenError, Storage, StorageConfig};
use rusqlite::Connection;
use tempfile::TempDir;

fn open_error(dir: &TempDir) -> String {
    match Storage::open(StorageConfig::new(dir.path())) {
        Ok(_) => panic!("opened"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_database_of_the_prds_own_shape_is_adopted_with_its_rows() {
    let dir = TempDir::new().unwrap();
    let old = Connection::open(dir.path().join("calls.db")).unwrap();
    old.execute_batch(
        r#"CREATE TABLE callers (phone_number TEXT PRIMARY KEY, name TEXT,
             created_at INTEGER DEFAULT (unixepoch()), updated_at INTEGER DEFAULT (unixepoch()));
           CREATE TABLE conversations (call_sid TEXT PRIMARY KEY, phone_number TEXT, messages TEXT,
             started_at INTEGER DEFAULT (unixepoch()), ended_at INTEGER);
           INSERT INTO callers (phone_number, name) VALUES ('+14155550100', 'Ash'), ('anonymous', NULL);
           INSERT INTO conversations (call_sid, phone_number, messages, ended_at)
             VALUES ('CA0', '+14155550100', '[{"role":"user","content":"hi"}]', 5), ('CA9', NULL, NULL, NULL);"#,
    )
    .unwrap();
    drop(old);
    let mut storage = Storage::open(StorageConfig::new(dir.path())).unwrap();
    for _ in 0..2 {
        let recall = storage
            .callers
            .look_up(&number("+14155550100"), WAIT_MAX)
            .await;
        let calldex_storage::LookupResult::Known(caller) = recall else {
            panic!("{recall:?}")
        };
        assert_eq!(caller.greeting_name(), Some("Ash"));
        let call = storage.conversations.read("CA0").await.unwrap().unwrap();
        assert_eq!(call.turns[0].content, "hi");
        wait_durable(
            storage
                .writer
                .submit(turn_appended("CA9", 0, 0, "still here")),
        )
        .unwrap();
        storage.close(WAIT_MAX);
        storage = Storage::open(StorageConfig::new(dir.path())).unwrap();
    }
    let unfinished = storage.conversations.unfinished().await.unwrap();
    assert_eq!(unfinished.len(), 1);
    assert_eq!(unfinished[0].turns, 1);
}

#[tokio::test]
async fn callers_of_an_adopted_database_keep_their_calls_and_blank_names_are_none() {
    let dir = TempDir::new().unwrap();
    let old = Connection::open(dir.path().join("calls.db")).unwrap();
    old.execute_batch(
        r#"CREATE TABLE callers (phone_number TEXT PRIMARY KEY, name TEXT,
             created_at INTEGER DEFAULT (unixepoch()), updated_at INTEGER DEFAULT (unixepoch()));
           CREATE TABLE conversations (call_sid TEXT PRIMARY KEY, phone_number TEXT, messages TEXT,
             started_at INTEGER DEFAULT (unixepoch()), ended_at INTEGER);
           INSERT INTO callers (phone_number, name) VALUES ('+14155550100', ''), ('+14155550101', '   '),
             ('+14155550102', ' Ash '), ('+14155550103', NULL);
           INSERT INTO conversations VALUES ('CA0', '+14155550100', '[]', 100, 160),
             ('CA1', '+14155550100', '[]', 300, 360), ('CA2', '+14155550102', '[]', 200.5, 260);"#,
    )
    .unwrap();
    drop(old);
    let storage = Storage::open(StorageConfig::new(dir.path())).unwrap();
    let expected = [
        ("+14155550100", None, NameState::Unknown, 2, Some(300)),
        ("+14155550101", None, NameState::Unknown, 0, None),
        (
            "+14155550102",
            Some("Ash"),
            NameState::Confirmed,
            1,
            Some(200),
        ),
        ("+14155550103", None, NameState::Unknown, 0, None),
    ];
    for (digits, name, state, calls, last_call_at) in expected {
        let recall = storage.callers.look_up(&number(digits), WAIT_MAX).await;
        let calldex_storage::LookupResult::Known(caller) = recall else {
            panic!("{recall:?}")
        };
        println!(
            "{digits}: {:?} {:?} {}",
            caller.name, caller.name_state, caller.calls
        );
        let found = (caller.greeting_name(), caller.name_state);
        assert_eq!((found, caller.calls), ((name, state), calls), "{digits}");
        assert_eq!(caller.last_call_at, last_call_at, "{digits}");
    }
}

#[test]
fn a_newer_database_is_refused_and_left_alone() {
    let dir = TempDir::new().unwrap();
    let newer = Connection::open(dir.path().join("calls.db")).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    drop(newer);
    assert!(
        open_error(&dir).contains("version 99"),
        "{}",
        open_error(&dir)
    );
}

/// A database with a call in it, changed by `sql` while nobody has it.
fn changed(sql: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    let storage = Storage::open(StorageConfig::new(dir.path())).unwrap();
    wait_durable(storage.writer.submit(turn_appended("CA1", 0, 0, "hello"))).unwrap();
    storage.close(WAIT_MAX);
    let connection = Connection::open(dir.path().join("calls.db")).unwrap();
    connection.execute_batch(sql).unwrap();
    dir
}

#[tokio::test(flavor = "multi_thread")]
async fn additions_of_a_later_version_shut_nobody_out_who_reads_the_level_in_use() {
    let dir = changed(
        "ALTER TABLE conversations ADD COLUMN mood TEXT; CREATE TABLE moods (id INTEGER PRIMARY KEY);
         PRAGMA user_version = 99",
    );
    let storage = Storage::open(StorageConfig::new(dir.path())).unwrap();
    wait_durable(
        storage
            .writer
            .submit(turn_appended("CA1", 0, 1, "still here")),
    )
    .unwrap();
    let call = storage.conversations.read("CA1").await.unwrap().unwrap();
    assert_eq!(call.turns.len(), 2);
    assert_eq!(storage.format_version(), 1);
}

#[test]
fn a_database_at_a_level_that_is_not_read_is_refused_with_what_to_do() {
    let dir = changed("UPDATE meta SET level = 99");
    let said = open_error(&dir);
    assert!(said.contains("is at level 99"), "{said}");
    assert!(
        said.contains("an upgrade to a later one was finished"),
        "{said}"
    );
}

#[test]
fn somebody_elses_file_is_refused() {
    let dir = TempDir::new().unwrap();
    std::fs::write(
        dir.path().join("calls.db"),
        "this is a letter, and a long enough one: ".repeat(100),
    )
    .unwrap();
    assert!(
        open_error(&dir).contains("not a calldex database"),
        "{}",
        open_error(&dir)
    );
    let dir = TempDir::new().unwrap();
    let foreign = Connection::open(dir.path().join("calls.db")).unwrap();
    foreign
        .execute_batch("CREATE TABLE callers (id INTEGER)")
        .unwrap();
    drop(foreign);
    assert!(
        open_error(&dir).contains("phone_number"),
        "{}",
        open_error(&dir)
    );
}

#[test]
fn a_second_process_is_refused_with_the_id_of_the_first() {
    let fixture = TestStorage::new();
    match Storage::open(StorageConfig::new(fixture.dir.path())) {
        Err(OpenError::InUse { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened twice"),
    }
}

#[tokio::test]
async fn values_of_the_wrong_type_in_an_adopted_database_stop_neither_the_start_nor_a_caller() {
    let dir = TempDir::new().unwrap();
    let old = Connection::open(dir.path().join("calls.db")).unwrap();
    old.execute_batch(
        r#"CREATE TABLE callers (phone_number TEXT PRIMARY KEY, name TEXT,
             created_at INTEGER DEFAULT (unixepoch()), updated_at INTEGER DEFAULT (unixepoch()));
           CREATE TABLE conversations (call_sid TEXT PRIMARY KEY, phone_number TEXT, messages TEXT,
             started_at INTEGER DEFAULT (unixepoch()), ended_at INTEGER);
           INSERT INTO callers VALUES ('+14155550100', 'Ash', 1700000000.75, '2023-11-14T22:13:20Z'),
             ('+14155550101', CAST('Misty' AS BLOB), 'long ago', NULL), (NULL, 'Nobody', 1.5, 2.5);
           INSERT INTO conversations VALUES
             ('CA0', '+14155550100', CAST('[{"role":"user","content":"hi"}]' AS BLOB), 1700000000.25, 1700000060.5),
             ('CA1', '+14155550100', '[]', '2023-11-14 22:13:20', 'whenever'),
             ('CA2', '+14155550101', '[]', 1700000000.25, NULL),
             (NULL, '+14155550101', '[]', 1700000000.25, NULL);"#,
    )
    .unwrap();
    drop(old);
    let storage = Storage::open(StorageConfig::new(dir.path())).unwrap();
    for (digits, name) in [("+14155550100", "Ash"), ("+14155550101", "Misty")] {
        let recall = storage.callers.look_up(&number(digits), WAIT_MAX).await;
        let calldex_storage::LookupResult::Known(caller) = recall else {
            panic!("{recall:?}")
        };
        assert_eq!(caller.greeting_name(), Some(name));
        wait_durable(storage.writer.submit(call_started(name, Some(digits)))).unwrap();
    }
    wait_until("warm", || storage.callers.is_warm_cache_ready());
    let reads = &storage.conversations;
    let call = reads.read("CA0").await.unwrap().unwrap();
    assert_eq!(call.turns[0].content, "hi");
    assert_eq!(call.conversation.started_at, 1_700_000_000);
    assert_eq!(call.conversation.ended_at, Some(1_700_000_060));
    let call = reads.read("CA1").await.unwrap().unwrap().conversation;
    assert_eq!(
        (call.started_at, call.ended_at),
        (1_700_000_000, Some(1_700_000_000))
    );
    for call in reads.unfinished().await.unwrap() {
        let sid = &call.conversation.call_sid;
        assert!(!sid.is_empty());
        wait_durable(storage.writer.submit(call_ended(sid, None, 60))).unwrap();
    }
    assert!(reads.unfinished().await.unwrap().is_empty());
    storage.close(WAIT_MAX);
}

#[tokio::test]
async fn values_of_the_wrong_type_are_read_whoever_wrote_them() {
    let fixture = TestStorage::with(|config| config.warm_cache = false);
    fixture.write(turn_appended("CA1", 0, 0, "hello"));
    fixture
        .connection()
        .execute_batch(
            "INSERT INTO callers (phone_number, name, created_at, updated_at)
               VALUES ('+14155550100', 'Ash', 1.5, 'today');
             UPDATE conversations SET started_at = 1700000000.5, messages = CAST('[]' AS BLOB),
               ended_at = '1700000060.5x';",
        )
        .unwrap();
    assert_eq!(fixture.caller("+14155550100").await.created_at, 1);
    let call = fixture.storage().conversations.read("CA1").await;
    let call = call.unwrap().unwrap().conversation;
    assert_eq!((call.started_at, call.ended_at), (1_700_000_000, Some(0)));
}
