//! Fields of outputs on the command line: `name=value,…`.

use serde_json::{Map, Value, json};
use videoframes_core::units::parse_size;

/// Fields of a rendition in a job message.
const RENDITION: &[&str] = &[
    "codec",
    "container",
    "quality",
    "max_height",
    "max_bytes",
    "audio",
    "keep_metadata",
    "optional",
];
/// Fields of the frames of an output, with their paths in a job message.
type Fields = [(&'static str, &'static [&'static str])];

const TILES: &Fields = &[
    ("every", &["selection", "every"]),
    ("count", &["selection", "count"]),
    ("start", &["range", "start"]),
    ("end", &["range", "end"]),
    ("format", &["picture", "format"]),
    ("quality", &["picture", "quality"]),
    ("width", &["picture", "max_width"]),
    ("height", &["picture", "max_height"]),
    ("crop", &["picture", "crop"]),
];
const PREVIEW_FRAMES: &Fields = &[
    ("fps", &["selection", "fps"]),
    ("every", &["selection", "every"]),
    ("count", &["selection", "count"]),
    ("start", &["range", "start"]),
    ("end", &["range", "end"]),
    ("duration", &["range", "duration"]),
    ("width", &["max_width"]),
    ("height", &["max_height"]),
    ("loop", &["plays"]),
];
const PREVIEW: &[&str] = &["format", "quality", "delay"];
const STORYBOARD: &[&str] = &["columns", "rows"];
const SHEET: &[&str] = &[
    "columns",
    "margin",
    "gap",
    "background",
    "foreground",
    "header",
    "timestamps",
];

/// Parses the fields of a rendition.
pub(crate) fn rendition(text: &str) -> Result<Value, String> {
    let mut object = Map::new();
    for field in pairs(text) {
        let (name, value) = field?;
        if !RENDITION.contains(&name) {
            return Err(unknown(name, "a rendition", RENDITION.iter().copied()));
        }
        let value = match json_of(value) {
            Value::String(_) if name == "max_bytes" => {
                parse_size(value).map_err(|e| format!("max_bytes: {e}"))?.into()
            }
            value => value,
        };
        object.insert(name.to_owned(), value);
    }
    Ok(Value::Object(object))
}

/// Parses the fields of a storyboard.
pub(crate) fn storyboard(text: &str) -> Result<Value, String> {
    composed(text, "a storyboard", TILES, STORYBOARD)
}

/// Parses the fields of a contact sheet.
pub(crate) fn sheet(text: &str) -> Result<Value, String> {
    composed(text, "a contact sheet", TILES, SHEET)
}

/// Parses the fields of a preview.
pub(crate) fn preview(text: &str) -> Result<Value, String> {
    composed(text, "a preview", PREVIEW_FRAMES, PREVIEW)
}

/// Parses fields of the frames of an output, and the `own` fields of the output.
fn composed(text: &str, output: &str, frames: &Fields, own: &[&str]) -> Result<Value, String> {
    let mut object = json!({});
    for field in pairs(text) {
        let (name, value) = field?;
        let value = json_of(value);
        if own.contains(&name) {
            // Digits alone are a colour too.
            let is_text = matches!(name, "background" | "foreground") && !value.is_string();
            object[name] = if is_text { value.to_string().into() } else { value };
            continue;
        }
        let Some((_, path)) = frames.iter().find(|(field, _)| *field == name) else {
            let known = frames.iter().map(|(field, _)| *field).chain(own.iter().copied());
            return Err(unknown(name, output, known));
        };
        let field = path.iter().fold(&mut object, |object, name| &mut object[*name]);
        *field = value;
    }
    Ok(object)
}

fn pairs(text: &str) -> impl Iterator<Item = Result<(&str, &str), String>> {
    let fields = text.split(',').filter(|field| !field.is_empty());
    fields.map(|field| {
        field
            .split_once('=')
            .ok_or_else(|| format!("'{field}' is not name=value"))
    })
}

/// Returns a number or a boolean as such, and any other value as a string.
fn json_of(value: &str) -> Value {
    match serde_json::from_str(value) {
        Ok(value @ (Value::Number(_) | Value::Bool(_))) => value,
        _ => value.into(),
    }
}

fn unknown<'a>(name: &str, output: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    format!(
        "'{name}' is not a field of {output}: expected one of {}",
        known.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_rendition_are_those_of_the_message() {
        let read = rendition("codec=hevc,max_height=720,max_bytes=25MB,optional=true");
        let fields_of_the_message =
            json!({"codec": "hevc", "max_height": 720, "max_bytes": 25_000_000, "optional": true});
        assert_eq!(read, Ok(fields_of_the_message));
        for wrong in ["v.mp4", "height=720", "max_bytes=much"] {
            assert!(rendition(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn fields_of_composed_outputs_have_their_paths_in_the_message() {
        assert_eq!(storyboard(""), Ok(json!({})));
        assert_eq!(
            storyboard("every=10s,width=320,format=webp,crop=16:9,columns=5"),
            Ok(
                json!({"selection": {"every": "10s"}, "picture": {"max_width": 320, "format": "webp", "crop": "16:9"}, "columns": 5})
            )
        );
        assert_eq!(
            sheet("count=9,end=50%,background=202020,header=false"),
            Ok(
                json!({"selection": {"count": 9}, "range": {"end": "50%"}, "background": "202020", "header": false})
            )
        );
        assert_eq!(
            preview("fps=5,duration=3s,width=200,loop=1,format=gif"),
            Ok(
                json!({"selection": {"fps": 5}, "range": {"duration": "3s"}, "max_width": 200, "plays": 1, "format": "gif"})
            )
        );
        for (read, wrong) in [
            (preview("columns=3"), "columns"),
            (storyboard("margin=3"), "margin"),
            (sheet("rows=3"), "rows"),
            (sheet("x"), "name=value"),
        ] {
            assert!(read.unwrap_err().contains(wrong), "{wrong}");
        }
    }
}
