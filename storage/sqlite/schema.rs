//! The tables. The first two, `callers` and `conversations`, are the original ones, with columns added behind; they are
//! the public face of the database and may be read by any SQLite client, as may the view.

/// The two original tables in their original form, as a database that is adopted has them.
pub(crate) const ORIGINAL_TABLES: &str = "
CREATE TABLE IF NOT EXISTS callers (
  phone_number TEXT PRIMARY KEY,
  name TEXT,
  created_at INTEGER DEFAULT (unixepoch()),
  updated_at INTEGER DEFAULT (unixepoch())
);
CREATE TABLE IF NOT EXISTS conversations (
  call_sid TEXT PRIMARY KEY,
  phone_number TEXT,
  messages TEXT,
  started_at INTEGER DEFAULT (unixepoch()),
  ended_at INTEGER
);
CREATE INDEX IF NOT EXISTS idx_conversations_phone ON conversations(phone_number);
";

/// Columns added to `callers`, each with its definition.
pub(crate) const CALLERS_ADDED_COLUMNS: &[(&str, &str)] = &[
    ("name_state", "TEXT"),
    ("name_at_ms", "INTEGER NOT NULL DEFAULT 0"),
    ("name_step", "INTEGER NOT NULL DEFAULT 0"),
    ("language", "TEXT"),
    ("language_at_ms", "INTEGER NOT NULL DEFAULT 0"),
    ("language_step", "INTEGER NOT NULL DEFAULT 0"),
    ("calls", "INTEGER NOT NULL DEFAULT 0"),
    ("last_call_at", "INTEGER"),
    ("people", "INTEGER NOT NULL DEFAULT 0"),
    ("people_at_ms", "INTEGER NOT NULL DEFAULT 0"),
    ("people_step", "INTEGER NOT NULL DEFAULT 0"),
    ("preferences", "TEXT"),
    ("rev", "INTEGER NOT NULL DEFAULT 0"),
];

/// Columns added to `conversations`, each with its definition.
pub(crate) const CONVERSATIONS_ADDED_COLUMNS: &[(&str, &str)] = &[
    ("summary", "TEXT"),
    ("language", "TEXT"),
    ("language_at_ms", "INTEGER NOT NULL DEFAULT 0"),
    ("outcome", "TEXT"),
    ("instance", "TEXT"),
    ("line", "TEXT"),
    ("caller_kind", "TEXT"),
    ("identity", "TEXT"),
    ("session_id", "TEXT"),
    ("epoch", "INTEGER NOT NULL DEFAULT 0"),
    ("resumes", "INTEGER NOT NULL DEFAULT 0"),
    ("end_at_ms", "INTEGER NOT NULL DEFAULT 0"),
];

/// Values of an original `calls.db` brought to the types of their columns: SQLite took whatever the
/// program gave (JavaScript's `Date.now() / 1000` is REAL). A time that cannot be read becomes NULL,
/// but a conversation that had an end keeps one. A call without a name gets one, so that it can be
/// closed and erased.
pub(crate) const COERCE_COLUMN_TYPES: &str = "
UPDATE callers SET created_at = CASE typeof(created_at) WHEN 'real' THEN CAST(created_at AS INTEGER)
    WHEN 'text' THEN unixepoch(created_at) END
  WHERE typeof(created_at) NOT IN ('integer', 'null');
UPDATE callers SET updated_at = CASE typeof(updated_at) WHEN 'real' THEN CAST(updated_at AS INTEGER)
    WHEN 'text' THEN unixepoch(updated_at) END
  WHERE typeof(updated_at) NOT IN ('integer', 'null');
UPDATE callers SET name = CAST(name AS TEXT) WHERE typeof(name) = 'blob';
UPDATE callers SET name = TRIM(name, char(9, 10, 11, 12, 13, 32, 160)) WHERE typeof(name) = 'text';
UPDATE callers SET name = NULL WHERE name = '';
UPDATE conversations SET started_at = CASE typeof(started_at) WHEN 'real' THEN CAST(started_at AS INTEGER)
    WHEN 'text' THEN unixepoch(started_at) END
  WHERE typeof(started_at) NOT IN ('integer', 'null');
UPDATE conversations SET ended_at = COALESCE(CASE typeof(ended_at) WHEN 'real' THEN CAST(ended_at AS INTEGER)
    WHEN 'text' THEN unixepoch(ended_at) END, started_at, 0)
  WHERE typeof(ended_at) NOT IN ('integer', 'null');
UPDATE conversations SET messages = CAST(messages AS TEXT) WHERE typeof(messages) = 'blob';
UPDATE conversations SET phone_number = CAST(phone_number AS TEXT)
  WHERE typeof(phone_number) = 'blob';
UPDATE OR IGNORE conversations SET call_sid = CAST(call_sid AS TEXT)
  WHERE typeof(call_sid) = 'blob';
UPDATE OR IGNORE conversations SET call_sid = 'unnamed-' || rowid WHERE call_sid IS NULL;
UPDATE OR IGNORE callers SET phone_number = CAST(phone_number AS TEXT)
  WHERE typeof(phone_number) = 'blob';
";

/// What version 1 adds beside them.
///
/// `turns` is append-only and has no index but its rowid: a key by call and sequence costs 11 to 45
/// times the payload in writes, this 2.2 times. That each (call, epoch, seq) is there once is seen
/// to by the live-turn index ([`super::LiveTurnIndex`]). `interrupted` is 0, 1, or 2 where the place of the cut
/// is an estimate (3: an estimate that nothing was cut).
pub(crate) const VERSION_1: &str = "
CREATE INDEX idx_callers_rev ON callers(rev);
CREATE INDEX idx_conversations_live ON conversations(call_sid) WHERE ended_at IS NULL;
CREATE TABLE people (
  phone_number TEXT NOT NULL,
  name TEXT NOT NULL,
  first_at_ms INTEGER NOT NULL,
  last_at_ms INTEGER NOT NULL,
  PRIMARY KEY (phone_number, name)
) WITHOUT ROWID;
CREATE TABLE turns (
  id INTEGER PRIMARY KEY,
  call_sid TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  role TEXT NOT NULL,
  content TEXT NOT NULL,
  at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  interrupted INTEGER NOT NULL DEFAULT 0,
  revision INTEGER NOT NULL DEFAULT 0,
  language TEXT
);
CREATE TABLE tombstones (
  subject TEXT PRIMARY KEY,
  at_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE meta (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  lineage TEXT NOT NULL,
  position INTEGER NOT NULL,
  rev INTEGER NOT NULL,
  erased_rev INTEGER NOT NULL DEFAULT 0,
  last_applied TEXT
);
CREATE VIEW conversation_messages AS
  SELECT c.call_sid, c.phone_number,
         COALESCE(json_extract(m.value, '$.epoch'), 0) AS epoch,
         COALESCE(json_extract(m.value, '$.seq'), m.key) AS seq,
         json_extract(m.value, '$.role') AS role,
         json_extract(m.value, '$.content') AS content,
         json_extract(m.value, '$.at') AS at,
         COALESCE(json_extract(m.value, '$.kind'), 'speech') AS kind,
         COALESCE(json_extract(m.value, '$.interrupted'), 0) AS interrupted
    FROM conversations c, json_each(c.messages) m
   WHERE json_valid(c.messages)
  UNION ALL
  SELECT t.call_sid, c.phone_number, t.epoch, t.seq, t.role, t.content, t.at, t.kind, t.interrupted
    FROM turns t JOIN conversations c ON c.call_sid = t.call_sid;
";

/// What version 2 adds: which cluster the database belongs to and how far it has applied that
/// cluster's log (`last_applied`, there since version 1), both JSON. NULL on a single node.
pub(crate) const VERSION_2: &str = "
ALTER TABLE meta ADD COLUMN cluster_id TEXT;
ALTER TABLE meta ADD COLUMN membership TEXT;
";

/// What version 3 adds: which of several people on a number was heard when, by its count of calls.
pub(crate) const VERSION_3: &str = "
ALTER TABLE people ADD COLUMN heard_in_call INTEGER NOT NULL DEFAULT 0;
ALTER TABLE people ADD COLUMN calls_running INTEGER NOT NULL DEFAULT 0;
UPDATE people SET heard_in_call = COALESCE(
  (SELECT calls FROM callers WHERE callers.phone_number = people.phone_number), 0);
";

/// What version 4 adds: what turns took of a model (JSON), and what a call cost in millionths of the
/// currency of the price table.
pub(crate) const VERSION_4: &str = "
ALTER TABLE turns ADD COLUMN usage TEXT;
ALTER TABLE conversations ADD COLUMN cost_micros INTEGER;
";

/// What version 5 adds, all of it ignored by programs that do not know it:
/// - `meta.level`: the level of writes and rules in use; see `level`.
/// - `meta.digest`: the digest chain over the applied entries; see `record::Digest`. NULL where no chain has begun.
/// - `conversations.provider_end_at_ms`: the latest end of the call itself that the provider told, 0 if none.
/// - `conversations.end_epoch`: the latest owner whose end was seen, -1 if none.
/// - `early_ends`: ends that the provider told of calls that are not known (yet).
/// - `set_aside`: writes that were refused.
pub(crate) const VERSION_5: &str = "
ALTER TABLE meta ADD COLUMN level INTEGER NOT NULL DEFAULT 1;
ALTER TABLE meta ADD COLUMN digest BLOB;
ALTER TABLE conversations ADD COLUMN provider_end_at_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversations ADD COLUMN end_epoch INTEGER NOT NULL DEFAULT -1;
CREATE TABLE early_ends (
  id INTEGER PRIMARY KEY,
  call_sid TEXT NOT NULL UNIQUE,
  at_ms INTEGER NOT NULL,
  provider_end_at_ms INTEGER NOT NULL,
  outcome TEXT NOT NULL
);
CREATE TABLE set_aside (
  id INTEGER PRIMARY KEY,
  at_ms INTEGER NOT NULL,
  position INTEGER,
  kind TEXT NOT NULL,
  reason TEXT NOT NULL,
  body BLOB NOT NULL
);
";

/// What version 6 adds, of a later release that the tests need: a note on a call that is over.
#[cfg(feature = "next-version")]
pub(crate) const VERSION_6: &str = "
ALTER TABLE conversations ADD COLUMN note TEXT;
";

/// Changes that an earlier build could not live with, each made when its level comes into use.
pub(crate) const FORMAT_VERSION_CHANGES: &[(u32, &str)] = &[
    #[cfg(feature = "next-version")]
    (
        crate::format_version::NEXT_FORMAT_VERSION,
        "ALTER TABLE conversations DROP COLUMN summary",
    ),
];

/// What callers of an adopted database lack: how often they called, and when last, as their conversations
/// say. Only in the database of an instance alone: those of several must stay the same, and each comes to
/// this version at a position of its own.
pub(crate) const BACKFILL_CALL_COUNTS: &str = "
UPDATE callers SET
    calls = (SELECT COUNT(*) FROM conversations c WHERE c.phone_number = callers.phone_number),
    last_call_at = (SELECT MAX(started_at) FROM conversations c WHERE c.phone_number = callers.phone_number)
  WHERE calls = 0 AND (SELECT cluster_id FROM meta WHERE id = 1) IS NULL
    AND EXISTS (SELECT 1 FROM conversations c WHERE c.phone_number = callers.phone_number);
";
