//! Manifests with a row per picture. Pure.

use std::borrow::Cow;

use serde::Serialize;

use super::manifest::FrameInfo;

/// A picture of an image folder.
#[derive(Serialize)]
struct FolderRow<'a> {
    file_name: &'a str,
    #[serde(flatten)]
    frame: &'a FrameInfo,
}

/// A picture whose entry is apart from the manifest.
#[derive(Serialize)]
struct Sample<'a> {
    source: &'a str,
    #[serde(flatten)]
    frame: &'a FrameInfo,
}

/// Returns a line of JSON per picture.
pub(crate) fn lines(frames: &[FrameInfo]) -> serde_json::Result<Vec<u8>> {
    json_lines(frames)
}

/// Returns the `metadata.jsonl` of an image folder.
pub(crate) fn image_folder(frames: &[FrameInfo]) -> serde_json::Result<Vec<u8>> {
    json_lines(frames.iter().map(|frame| FolderRow {
        file_name: &frame.file,
        frame,
    }))
}

/// Returns the JSON file of a WebDataset sample: the entry of the picture, and the name of the video.
pub(crate) fn sample(frame: &FrameInfo, source: &str) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&Sample { source, frame })
}

fn json_lines(rows: impl IntoIterator<Item = impl Serialize>) -> serde_json::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut lines, &row)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

const HEADER: &str = "index,file,shard,frame,target,pts,time_base,timestamp_s,duration_s,width,height,bytes,sha256,repeated,\
                      picked_reason,picked_score,picked_sharpness,picked_black,picked_hash,picked_distance";

/// Returns the pictures as CSV, by RFC 4180. Absent values are empty.
pub(crate) fn csv(frames: &[FrameInfo]) -> String {
    let mut csv = format!("{HEADER}\r\n");
    for frame in frames {
        let picked = frame.picked.as_ref();
        let float = |value: Option<f64>| value.map(|value| format!("{value:?}"));
        let fields: [Option<String>; 20] = [
            Some(frame.index.to_string()),
            Some(not_a_formula(&frame.file).into_owned()),
            frame.shard.clone(),
            frame.frame.map(|frame| frame.to_string()),
            Some(frame.target.clone()),
            Some(frame.pts.to_string()),
            Some(frame.time_base.clone()),
            float(Some(frame.timestamp_s)),
            float(Some(frame.duration_s)),
            Some(frame.width.to_string()),
            Some(frame.height.to_string()),
            Some(frame.bytes.to_string()),
            Some(frame.sha256.clone()),
            Some(frame.repeated.to_string()),
            picked.map(|picked| picked.reason.clone()),
            float(picked.and_then(|picked| picked.score)),
            float(picked.and_then(|picked| picked.sharpness)),
            float(picked.and_then(|picked| picked.black)),
            picked.and_then(|picked| picked.hash.clone()),
            picked
                .and_then(|picked| picked.distance)
                .map(|distance| distance.to_string()),
        ];
        let fields = fields.map(|field| field.map_or_else(String::new, |field| quoted(&field).into_owned()));
        csv.push_str(&fields.join(","));
        csv.push_str("\r\n");
    }
    csv
}

/// Returns a name that a spreadsheet does not read as a formula: `./=name` is the same path as `=name`.
fn not_a_formula(name: &str) -> Cow<'_, str> {
    match name.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']) {
        true => format!("./{name}").into(),
        false => name.into(),
    }
}

/// Returns a field, in quotes if a separator requires these.
fn quoted(field: &str) -> Cow<'_, str> {
    match field.contains([',', '"', '\r', '\n']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")).into(),
        false => field.into(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn frame(json: &str) -> FrameInfo {
        let rest = r#""target":"0","pts":-5,"time_base":"1/10","timestamp_s":1.0,"duration_s":0.1,
            "width":16,"height":9,"bytes":7,"sha256":"ab","repeated":false"#;
        serde_json::from_str(&format!("{{{json},{rest}}}")).unwrap()
    }

    #[test]
    fn rows_are_written_in_every_format() {
        let frames = [
            frame(r#""index":0,"file":"a \"b\", c.jpg","frame":3"#),
            frame(
                r#""index":1,"file":"=1+1.jpg","shard":"a-000000.tar","picked":{"reason":"sharpest","score":2.5,"hash":"00ff","distance":0}"#,
            ),
        ];
        let rest = "0,-5,1/10,1.0,0.1,16,9,7,ab,false";
        let expected = [
            HEADER.to_owned(),
            format!(r#"0,"a ""b"", c.jpg",,3,{rest},,,,,,"#),
            format!("1,./=1+1.jpg,a-000000.tar,,{rest},sharpest,2.5,,,00ff,0"),
            String::new(),
        ];
        assert_eq!(csv(&frames), expected.join("\r\n"));

        let text = |bytes: serde_json::Result<Vec<u8>>| String::from_utf8(bytes.unwrap()).unwrap();
        let jsonl = text(lines(&frames));
        let read: Vec<FrameInfo> = jsonl
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(read, frames);
        let folder = text(image_folder(&frames));
        assert!(
            folder.starts_with(r#"{"file_name":"a \"b\", c.jpg","index":0,"#),
            "{folder}"
        );
        assert_eq!(folder.lines().count(), 2);
        let sample = text(sample(&frames[1], "video.mp4"));
        assert!(
            sample.starts_with(r#"{"source":"video.mp4","index":1,"file":"=1+1.jpg","#),
            "{sample}"
        );
    }

    #[test]
    fn names_are_no_formulas() {
        for (name, cell) in [
            ("a=b.jpg", "a=b.jpg"),
            ("-1.jpg", "./-1.jpg"),
            ("+1.jpg", "./+1.jpg"),
            ("@SUM(A1).jpg", "./@SUM(A1).jpg"),
            ("＝1.jpg", "./＝1.jpg"),
        ] {
            assert_eq!(not_a_formula(name), cell);
        }
    }
}
