//! `docs/json.md` as a test reads it: sections, the fields of each, and the values of some.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// A row of a section's table.
#[derive(Debug)]
pub struct Field<'a> {
    /// Its type.
    pub kind: &'a str,
    /// Whether it says when it is null.
    pub may_be_null: bool,
}

/// What is said of one document.
#[derive(Debug, Default)]
pub struct Section<'a> {
    /// By their paths.
    pub fields: BTreeMap<&'a str, Field<'a>>,
    /// Of each field that has a table of its values.
    pub values: BTreeMap<&'a str, BTreeSet<String>>,
}

/// The text between the first two backticks; `None` without any.
fn ticked(text: &str) -> Option<&str> {
    text.split('`').nth(1)
}

/// Its sections, by the command that each begins with.
pub fn parse(page: &str) -> BTreeMap<&str, Section<'_>> {
    let mut sections: BTreeMap<&str, Section<'_>> = BTreeMap::new();
    let (mut section, mut of_field) = ("", None);
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("### ") {
            let (name, field) = title.split_once(": ").expect("`SECTION: FIELD`");
            assert_eq!(ticked(name).unwrap_or(name), section, "a table of values stands in its section");
            of_field = ticked(field);
            sections
                .get_mut(section)
                .expect("a table stands in a section")
                .values
                .insert(of_field.expect("a field in backticks"), BTreeSet::new());
        } else if let Some(title) = line.strip_prefix("## ") {
            (section, of_field) = (ticked(title).unwrap_or(title), None);
            assert!(sections.insert(section, Section::default()).is_none(), "{title} twice");
        } else if let Some(row) = line.strip_prefix("| `") {
            let cells: Vec<&str> = row.split(" | ").collect();
            let name = cells[0].trim_end_matches('`');
            let here = sections.get_mut(section).expect("a table stands in a section");
            if let Some(field) = of_field {
                here.values.get_mut(field).expect("inserted with its title").insert(name.to_owned());
            } else {
                assert_eq!(cells.len(), 4, "{line}");
                let may_be_null = cells[3].trim_end_matches(" |") != "never";
                here.fields.insert(name, Field { kind: cells[1], may_be_null });
            }
        }
    }
    sections
}

/// Every path in a document, and what stands there.
pub fn flatten(path: &str, value: &Value, found: &mut Vec<(String, Value)>) {
    if !path.is_empty() {
        found.push((path.to_owned(), value.clone()));
    }
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(&path, value, found);
            }
        }
        Value::Array(elements) => {
            for element in elements {
                flatten(&format!("{path}[]"), element, found);
            }
        }
        _ => {}
    }
}

/// The type of a value, by the page's names.
pub fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

/// The row for a path: its own, or one that ends in `*`.
pub fn row<'a>(section: &'a Section<'a>, path: &str) -> Option<(&'a str, &'a Field<'a>)> {
    let wide = |name: &str| name.strip_suffix('*').is_some_and(|stem| path.starts_with(stem));
    let own = section.fields.get_key_value(path);
    let found = own.or_else(|| section.fields.iter().find(|(name, _)| wide(name)));
    found.map(|(name, field)| (*name, field))
}
