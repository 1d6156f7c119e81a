//! Names: asked for, captured, corrected.

super::catalog! {
    /// What happened to names, by event. A call that asks counts `asked` once, and `captured` once
    /// when a name came of it.
    NAMES_TOTAL: counter Count "calldex_names_total"
        {
            event: [
                "asked", "captured", "confirm_asked", "confirmed", "corrected", "declined", "forgotten",
                "person_added", "model_applied", "volunteered",
            ]
        };
    /// Time to look for a name in one turn.
    NAME_EXTRACTION_SECONDS: histogram Seconds "calldex_name_extraction_seconds" by LOOKUP;
}
