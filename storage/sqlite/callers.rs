//! The table `callers` and, beside it, `people`.

use super::lenient_columns;
use crate::record::{Caller, DecisionMark, NameState, Person, PhoneNumber};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// The columns of `callers` in the order that reading and writing agree on.
macro_rules! columns {
    () => {
        "phone_number, name, created_at, updated_at, name_state, name_at_ms, name_step, language, \
         language_at_ms, language_step, calls, last_call_at, people, preferences, rev, people_at_ms, \
         people_step"
    };
}

const GET: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM callers WHERE phone_number = ?1"
);
const CHANGED_SINCE: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM callers WHERE rev > ?1 ORDER BY rev LIMIT ?2"
);
const PUT: &str = concat!(
    "INSERT INTO callers (",
    columns!(),
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17) \
     ON CONFLICT (phone_number) DO UPDATE SET name = ?2, updated_at = ?4, name_state = ?5, \
     name_at_ms = ?6, name_step = ?7, language = ?8, language_at_ms = ?9, language_step = ?10, \
     calls = ?11, last_call_at = ?12, people = ?13, preferences = ?14, rev = ?15, \
     people_at_ms = ?16, people_step = ?17"
);

/// The caller behind `number`.
pub(crate) fn get(
    connection: &Connection,
    number: &PhoneNumber,
) -> rusqlite::Result<Option<Caller>> {
    let mut statement = connection.prepare_cached(GET)?;
    let found = statement
        .query_row([number.as_str()], |row| read(row, number.clone()))
        .optional()?;
    with_people(connection, found)
}

/// A page of the change feed.
pub(crate) struct ChangeFeedPage {
    /// Callers in the order of their change. Rows whose number can be no identity (an older program
    /// may have kept them) are passed over.
    pub callers: Vec<Caller>,
    /// The revision up to which the feed was read.
    pub read_to: u64,
    /// Whether the page was filled, so that there may be more.
    pub is_full: bool,
}

/// The next at most `rows_max` changes after `rev`; from the first one without it. Of rows that share a
/// revision, as those that were put in by hand do, a page may show only the first.
pub(crate) fn changed_since(
    connection: &Connection,
    rev: Option<u64>,
    rows_max: usize,
) -> rusqlite::Result<ChangeFeedPage> {
    let mut statement = connection.prepare_cached(CHANGED_SINCE)?;
    let mut rows = statement.query(params![rev.map_or(-1, u64::cast_signed), rows_max as i64])?;
    let (mut changes, mut count) = (
        ChangeFeedPage {
            callers: Vec::new(),
            read_to: rev.unwrap_or(0),
            is_full: false,
        },
        0,
    );
    while let Some(row) = rows.next()? {
        count += 1;
        changes.read_to = row.get::<_, i64>(14)?.cast_unsigned();
        let text = lenient_columns::short_text(row, 0)?;
        if let Some(number) = text.as_deref().and_then(PhoneNumber::parse) {
            let caller = with_people(connection, Some(read(row, number)?))?;
            changes.callers.extend(caller);
        }
    }
    changes.is_full = count == rows_max;
    Ok(changes)
}

fn read(row: &Row<'_>, number: PhoneNumber) -> rusqlite::Result<(Caller, usize)> {
    let text = |index| lenient_columns::short_text(row, index);
    let created_at = lenient_columns::integer(row, 2)?.unwrap_or(0);
    // A blank name, as a person may leave it, is none.
    let name = text(1)?.filter(|name| !name.trim().is_empty());
    let name_state = match NameState::parse(text(4)?.as_deref()) {
        NameState::Declined => NameState::Declined,
        _ if name.is_none() => NameState::Unknown,
        state => state,
    };
    let caller = Caller {
        number,
        name,
        created_at,
        updated_at: lenient_columns::integer(row, 3)?.unwrap_or(created_at),
        name_state,
        name_mark: DecisionMark {
            at_ms: row.get(5)?,
            step: row.get(6)?,
        },
        language: text(7)?,
        language_mark: DecisionMark {
            at_ms: row.get(8)?,
            step: row.get(9)?,
        },
        calls: row.get(10)?,
        last_call_at: row.get(11)?,
        people_mark: DecisionMark {
            at_ms: row.get(15)?,
            step: row.get(16)?,
        },
        people: Box::default(),
        preferences: text(13)?
            .and_then(|json| serde_json::from_str(&json).ok())
            .unwrap_or_default(),
        rev: row.get::<_, i64>(14)?.cast_unsigned(),
    };
    Ok((caller, row.get::<_, i64>(12)?.unsigned_abs() as usize))
}

fn with_people(
    connection: &Connection,
    found: Option<(Caller, usize)>,
) -> rusqlite::Result<Option<Caller>> {
    let Some((mut caller, people)) = found else {
        return Ok(None);
    };
    if people > 0 {
        caller.people = people_of(connection, &caller.number)?;
    }
    Ok(Some(caller))
}

fn people_of(connection: &Connection, number: &PhoneNumber) -> rusqlite::Result<Box<[Person]>> {
    let mut statement = connection.prepare_cached(
        "SELECT name, first_at_ms, last_at_ms, heard_in_call, calls_running FROM people WHERE phone_number = ?1 ORDER BY first_at_ms, name",
    )?;
    let people = statement.query_map([number.as_str()], |row| {
        let name: String = row.get(0)?;
        Ok(Person {
            name: name.into(),
            first_at_ms: row.get(1)?,
            last_at_ms: row.get(2)?,
            heard_in_call: row.get(3)?,
            consecutive_calls: row.get(4)?,
        })
    })?;
    people.collect()
}

/// Writes `caller`, and the people beside it if `people_changed`.
pub(crate) fn put(
    connection: &Connection,
    caller: &Caller,
    people_changed: bool,
) -> rusqlite::Result<()> {
    let preferences = (!caller.preferences.is_empty())
        .then(|| serde_json::to_string(&caller.preferences).expect("preferences are plain text"));
    connection.prepare_cached(PUT)?.execute(params![
        caller.number.as_str(),
        caller.name.as_deref(),
        caller.created_at,
        caller.updated_at,
        caller.name_state.as_str(),
        caller.name_mark.at_ms,
        caller.name_mark.step,
        caller.language.as_deref(),
        caller.language_mark.at_ms,
        caller.language_mark.step,
        caller.calls,
        caller.last_call_at,
        caller.people.len() as i64,
        preferences,
        caller.rev.cast_signed(),
        caller.people_mark.at_ms,
        caller.people_mark.step,
    ])?;
    if people_changed {
        put_people(connection, caller)?;
    }
    Ok(())
}

fn put_people(connection: &Connection, caller: &Caller) -> rusqlite::Result<()> {
    remove_people(connection, &caller.number)?;
    let mut statement = connection.prepare_cached(
        "INSERT INTO people (phone_number, name, first_at_ms, last_at_ms, heard_in_call, calls_running) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for person in &caller.people {
        let number = caller.number.as_str();
        statement.execute(params![
            number,
            person.name.as_str(),
            person.first_at_ms,
            person.last_at_ms,
            person.heard_in_call,
            person.consecutive_calls
        ])?;
    }
    Ok(())
}

fn remove_people(connection: &Connection, number: &PhoneNumber) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM people WHERE phone_number = ?1")?
        .execute([number.as_str()])?;
    Ok(())
}

/// Removes the caller and the people beside it.
pub(crate) fn remove(connection: &Connection, number: &PhoneNumber) -> rusqlite::Result<()> {
    remove_people(connection, number)?;
    connection
        .prepare_cached("DELETE FROM callers WHERE phone_number = ?1")?
        .execute([number.as_str()])?;
    Ok(())
}
