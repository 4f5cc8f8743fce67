//! The views and their columns, as the files of the views in Postgres describe them. Views and
//! columns are the same in both databases.

use crate::store::schema::Schema;

/// A view for display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewDescription {
    pub name: &'static str,
    pub text: String,
    /// In the order of the view.
    pub columns: Vec<ColumnDescription>,
}

/// A column of a view for display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnDescription {
    pub name: &'static str,
    pub text: String,
}

/// Returns the views of an archive with their columns.
pub fn views() -> Vec<ViewDescription> {
    let schema = Schema::postgres();
    let views = schema.views.iter().map(|view| {
        let columns = comments(view.sql, "COLUMN").filter_map(|(name, text)| {
            let (_, name) = name.split_once('.')?;
            Some(ColumnDescription { name, text })
        });
        ViewDescription {
            name: view.name,
            text: comments(view.sql, "VIEW").map(|(_, text)| text).collect(),
            columns: columns.collect(),
        }
    });
    views.collect()
}

/// Returns the name of the view that resembles a name that does not exist.
pub(super) fn nearest_view(wrong: &str) -> Option<&'static str> {
    nearest(wrong, views().iter().map(|view| view.name))
}

/// Returns the name of the column that resembles a name that does not exist.
pub(super) fn nearest_column(wrong: &str) -> Option<&'static str> {
    let views = views();
    let columns = views.iter().flat_map(|view| &view.columns);
    nearest(wrong, columns.map(|column| column.name))
}

/// Returns the most similar name; `None` if more than a third of its letters differ, or if the name
/// itself is there.
fn nearest(wrong: &str, names: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    // A name may be qualified.
    let wrong = wrong.rsplit('.').next().unwrap_or(wrong).to_lowercase();
    let distances = names.map(|name| (strsim::osa_distance(&wrong, name), name));
    let (distance, name) = distances.min()?;
    (distance > 0 && distance <= name.len().div_ceil(3)).then_some(name)
}

/// Returns the names and texts of the statements `COMMENT ON <kind> <name> IS '<text>';`.
fn comments(sql: &'static str, kind: &str) -> impl Iterator<Item = (&'static str, String)> {
    let statements = sql.split("COMMENT ON ").skip(1);
    statements.filter_map(move |statement| {
        let (name, literals) = statement
            .strip_prefix(kind)?
            .trim_start()
            .split_once(" IS")?;
        Some((name, joined(literals)))
    })
}

/// Returns the text of consecutive string literals.
fn joined(literals: &str) -> String {
    let mut text = String::new();
    let mut is_inside = false;
    let mut chars = literals.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' if is_inside && chars.next_if_eq(&'\'').is_some() => text.push('\''),
            '\'' => is_inside = !is_inside,
            ';' if !is_inside => break,
            c if is_inside => text.push(c),
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_view_and_column_has_a_text() {
        let views = views();
        assert!(views.len() >= 13, "{}", views.len());
        for view in &views {
            assert!(view.text.ends_with('.'), "{view:?}");
            assert!(!view.columns.is_empty(), "{view:?}");
            assert!(
                view.columns.iter().all(|column| column.text.len() > 5),
                "{view:?}"
            );
        }
    }

    #[test]
    fn literals_are_joined_and_unquoted() {
        assert_eq!(
            joined("\n 'the provider''s; '\n 'edge.';\nSELECT 'x';"),
            "the provider's; edge."
        );
    }

    #[test]
    fn similar_names_are_found() {
        assert_eq!(nearest_column("sendr"), Some("sender"));
        assert_eq!(nearest_column("a.Sent_att"), Some("sent_at"));
        assert_eq!(nearest_view("public.Archiv"), Some("archive"));
        assert_eq!(nearest_view("zzzzzzzz"), None);
        // It exists, but not in the view of the query.
        assert_eq!(nearest_column("sender"), None);
    }
}
