//! Archives: reproducible, readable from a stream, and written as a whole or not at all.
#![allow(clippy::unwrap_used)]

use std::io::{Cursor, Read, Write};
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use videoframes_core::archive::{
    Archive, ArchiveError, Destination, Directory, PictureFile, ShardDirectory, ShardLimits, TarFile,
    ZipArchive, ZipObject,
};
use videoframes_core::storage::{IfExists, MemoryStorage, ObjectVersion, Sink, Storage, StorageError};

async fn zip_of(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let storage = Arc::new(MemoryStorage::default());
    let key: videoframes_core::storage::ObjectKey = "a.zip".parse().unwrap();
    let destination = ZipObject::new(storage.clone(), key.clone(), IfExists::Refuse);
    let mut archive = destination.start().await.unwrap();
    for (name, content) in files {
        archive.add(name, Bytes::from(content.clone())).await.unwrap();
    }
    let size = archive.finish().await.unwrap();
    let source = storage.open(&key, &ObjectVersion::CURRENT).await.unwrap().source;
    assert_eq!(source.len(), size);
    source
        .read_at(0, usize::try_from(size).unwrap())
        .await
        .unwrap()
        .to_vec()
}

fn files(count: usize) -> Vec<(String, Vec<u8>)> {
    (0..count)
        .map(|i| (format!("frame_{i:06}.jpg"), vec![i as u8; i % 50]))
        .collect()
}

#[tokio::test]
async fn zip_is_reproducible_and_has_no_data_descriptors() {
    let mut files = files(20);
    // Sizes around the threshold above which contents are not copied.
    for size in [(128 << 10) - 1, 128 << 10, 300_000] {
        files.push((
            format!("large_{size}.png"),
            (0..size).map(|i| (i % 251) as u8).collect(),
        ));
    }
    let bytes = zip_of(&files).await;
    assert_eq!(bytes, zip_of(&files).await);
    let mut archive = zip::ZipArchive::new(Cursor::new(&bytes)).unwrap();
    for (index, (name, content)) in files.iter().enumerate() {
        let mut entry = archive.by_index(index).unwrap();
        assert_eq!(
            (entry.name().unwrap().as_ref(), entry.compression()),
            (name.as_str(), zip::CompressionMethod::Stored)
        );
        let header = usize::try_from(entry.header_start()).unwrap();
        let flags = u16::from_le_bytes([bytes[header + 6], bytes[header + 7]]);
        assert_eq!(flags & 8, 0, "the local header carries sizes");
        let size = u32::from_le_bytes(bytes[header + 22..header + 26].try_into().unwrap());
        assert_eq!(size as usize, content.len());
        let mut read = Vec::new();
        entry.read_to_end(&mut read).unwrap();
        assert_eq!(&read, content);
    }
}

#[tokio::test]
async fn zip_keeps_more_entries_than_a_plain_zip_can_count() {
    let bytes = zip_of(&files(66_000)).await;
    let archive = zip::ZipArchive::new(Cursor::new(&bytes)).unwrap();
    assert_eq!(archive.len(), 66_000);
    // Another implementation, which reads from a pipe.
    let mut child = Command::new("python3")
        .args(["-c", "import sys,io,zipfile; print(len(zipfile.ZipFile(io.BytesIO(sys.stdin.buffer.read())).namelist()))"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "66000");
}

#[tokio::test]
async fn a_zip_object_reports_what_was_written() {
    let storage = Arc::new(MemoryStorage::default());
    let key: videoframes_core::storage::ObjectKey = "a.zip".parse().unwrap();
    let object = ZipObject::new(storage.clone(), key.clone(), IfExists::Refuse);
    let add = async |content: &'static [u8]| {
        let mut archive = object.start().await.unwrap();
        archive.add("a.jpg", Bytes::from_static(content)).await.unwrap();
        archive
    };
    add(b"discarded").await.abort().await;
    assert_eq!(object.written(), None);

    // Large enough not to be copied.
    let archive = add(&[7; 300_000]).await;
    assert_eq!(object.written(), None, "the object is not written yet");
    let size = archive.finish().await.unwrap();
    let source = storage.open(&key, &ObjectVersion::CURRENT).await.unwrap().source;
    let bytes = source.read_at(0, usize::try_from(size).unwrap()).await.unwrap();
    let sha256 = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let written = object.written().map(|written| (written.size, written.sha256));
    assert_eq!(written, Some((size, sha256)));

    // An object that was rejected was not written.
    let refused = object.start().await;
    assert!(matches!(
        refused.err(),
        Some(ArchiveError::Storage(StorageError::AlreadyExists(_)))
    ));
    assert_eq!(object.written(), None);
}

/// A sparse file in which zeros are holes, so that gigabytes use no disk space.
struct SparseSink {
    file: std::fs::File,
    length: u64,
}

#[async_trait::async_trait]
impl Sink for SparseSink {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        let zeros = [0; 1 << 16];
        for block in bytes.chunks(zeros.len()) {
            if block != &zeros[..block.len()] {
                self.file.write_all_at(block, self.length).unwrap();
            }
            self.length += block.len() as u64;
        }
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<(), StorageError> {
        self.file.set_len(self.length).unwrap();
        Ok(())
    }

    async fn abort(self: Box<Self>) {}
}

#[tokio::test]
async fn other_programs_read_an_archive_beyond_four_gigabytes() {
    const ENTRY: usize = 256 << 20;
    let file = tempfile::NamedTempFile::new().unwrap();
    let sink = SparseSink {
        file: file.reopen().unwrap(),
        length: 0,
    };
    let mut archive: Box<dyn Archive> = Box::new(ZipArchive::new(Box::new(sink)));
    let picture = Bytes::from(vec![0; ENTRY]);
    for index in 0..16 {
        archive
            .add(&format!("frame_{index:06}.png"), picture.clone())
            .await
            .unwrap();
    }
    // The only entry whose header offset exceeds 32 bits.
    archive
        .add("manifest.json", Bytes::from_static(b"behind 4 GiB"))
        .await
        .unwrap();
    let size = archive.finish().await.unwrap();
    assert!(size > 1 << 32 && size == file.path().metadata().unwrap().len());

    let mut archive = zip::ZipArchive::new(file.reopen().unwrap()).unwrap();
    assert_eq!(archive.len(), 17);
    let mut text = String::new();
    archive
        .by_name("manifest.json")
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "behind 4 GiB");
    for reader in [vec!["python3", "-m", "zipfile", "-l"], vec!["unzip", "-l"]] {
        let output = Command::new(reader[0])
            .args(&reader[1..])
            .arg(file.path())
            .output()
            .unwrap();
        let listing = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && listing.contains("frame_000015.png"),
            "{reader:?}: {listing}"
        );
    }
    let output = Command::new("unzip")
        .arg("-p")
        .arg(file.path())
        .arg("manifest.json")
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"behind 4 GiB");
}

#[tokio::test]
async fn other_programs_read_a_tar_with_any_name() {
    let folder = tempfile::tempdir().unwrap();
    let long = format!("{}/{}", "a".repeat(150), "b".repeat(200));
    let in_prefix = format!("{}/c.jpg", "a".repeat(120));
    let files: Vec<(String, Vec<u8>)> = vec![
        ("frame_000000.jpg".to_owned(), vec![1; 511]),
        (format!("{long}.jpg"), vec![2; 512]),
        (format!("{long}.json"), vec![3; 513]),
        (in_prefix, vec![4; 3]),
        ("кадр/画像_é_000001.png".to_owned(), vec![5; 300_000]),
        ("empty.raw".to_owned(), Vec::new()),
    ];
    let write = async |name: &str| {
        let path = folder.path().join(name);
        let destination = TarFile::new(&path);
        destination.check().unwrap();
        let mut archive = destination.start().await.unwrap();
        let mut added = 0;
        for (name, content) in &files {
            added += archive.add(name, Bytes::from(content.clone())).await.unwrap();
        }
        assert!(!path.exists(), "visible only when complete");
        let size = archive.finish().await.unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!((size, added + 1024), (bytes.len() as u64, size));
        bytes
    };
    assert_eq!(write("a.tar").await, write("b.tar").await);

    let path = folder.path().join("a.tar");
    let script = "import sys,tarfile; t=tarfile.open(sys.argv[1]); \
                  [print(m.name,m.size,oct(m.mode),m.uid,m.gid,m.mtime,set(t.extractfile(m).read())) for m in t]";
    let output = Command::new("python3")
        .args(["-c", script])
        .arg(&path)
        .env("PYTHONIOENCODING", "utf-8")
        .output()
        .unwrap();
    let expected: String = files
        .iter()
        .map(|(name, content)| {
            let bytes = content
                .first()
                .map_or("set()".to_owned(), |byte| format!("{{{byte}}}"));
            format!("{name} {} 0o644 0 0 0 {bytes}\n", content.len())
        })
        .collect();
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{output:?}");
    let output = Command::new("tar")
        .arg("--list")
        .arg("-f")
        .arg(&path)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap();
    let listing = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    assert!(listing.contains(&long) && listing.lines().count() == files.len());
}

#[tokio::test]
async fn shards_appear_together_or_not_at_all() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("train");
    let limits = ShardLimits::default().pictures(2.try_into().unwrap());
    let directory = ShardDirectory::new(&path, limits);
    let start = async || {
        let mut archive = directory.start().await.unwrap();
        let mut shards = Vec::new();
        for index in 0..5 {
            for extension in ["jpg", "json"] {
                let name = format!("{index}.{extension}");
                archive.add(&name, Bytes::from_static(b"x")).await.unwrap();
            }
            shards.push(archive.shard().unwrap().to_owned());
        }
        (archive, shards)
    };
    for dropped in [true, false] {
        let (archive, _) = start().await;
        match dropped {
            true => drop(archive),
            false => archive.abort().await,
        }
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    }
    let (archive, shards) = start().await;
    let shard = |index: usize| format!("train-{index:06}.tar");
    assert_eq!(shards, [0, 0, 1, 1, 2].map(shard));
    let size = archive.finish().await.unwrap();
    let sizes = [0, 1, 2].map(|index| path.join(shard(index)).metadata().unwrap().len());
    assert_eq!(sizes, [4 * 1024 + 1024, 4 * 1024 + 1024, 2 * 1024 + 1024]);
    assert_eq!(size, sizes.iter().sum::<u64>());
    let again = directory.start().await.err();
    // Without a manifest, the folder could be anybody's.
    assert!(
        matches!(again, Some(ArchiveError::ForeignDirectory(_))),
        "{again:?}"
    );
}

fn manifest(file: &str) -> Bytes {
    let text = format!(
        r#"{{"schema_version":1,"generator":{{"name":"a","version":"b","decoder":"c"}},
        "source":{{"name":"v","size":1,"container":"c","codec":"c","width":1,"height":1,"rotation":0,"frame_rate":null,"duration_s":1.0}},
        "request":{{"selection":"all","start":null,"end":null,"format":"jpg","quality":90,"max_width":null,"max_height":null,
        "rotate":true,"deinterlace":"auto","tonemap":"auto"}},"partial":false,
        "frames":[{{"index":0,"file":"{file}","target":"0","pts":0,"time_base":"1/1","timestamp_s":0.0,"duration_s":1.0,
        "width":1,"height":1,"bytes":1,"sha256":"","repeated":false}}]}}"#
    );
    Bytes::from(text)
}

async fn write(destination: &Directory, file: &str) -> Result<(), ArchiveError> {
    let mut archive: Box<dyn Archive> = destination.start().await?;
    archive.add(file, Bytes::from_static(b"x")).await?;
    archive.add("manifest.json", manifest(file)).await?;
    archive.finish().await.map(drop)
}

#[tokio::test]
async fn directory_replaces_only_its_own_results() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("frames");
    let directory = |if_exists| Directory::new(path.clone()).if_exists(if_exists);
    write(&directory(IfExists::Refuse), "a.jpg").await.unwrap();
    let again = write(&directory(IfExists::Refuse), "b.jpg").await;
    assert!(matches!(
        again,
        Err(ArchiveError::Storage(StorageError::AlreadyExists(_)))
    ));
    write(&directory(IfExists::Replace), "sub/b.jpg").await.unwrap();
    assert!(path.join("sub/b.jpg").is_file() && !path.join("a.jpg").exists());

    std::fs::write(path.join("sub/mine.txt"), "precious").unwrap();
    let foreign = write(&directory(IfExists::Replace), "c.jpg").await;
    assert!(
        matches!(foreign, Err(ArchiveError::ForeignDirectory(_))),
        "{foreign:?}"
    );
    assert!(path.join("sub/mine.txt").is_file() && path.join("sub/b.jpg").is_file());
    assert_eq!(
        std::fs::read_dir(parent.path()).unwrap().count(),
        1,
        "nothing temporary is left"
    );
}

#[tokio::test]
async fn a_dropped_directory_leaves_no_files() {
    let parent = tempfile::tempdir().unwrap();
    let directory = Directory::new(parent.path().join("frames"));
    let mut archive = directory.start().await.unwrap();
    archive.add("a.jpg", Bytes::from_static(b"x")).await.unwrap();
    drop(archive);
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_picture_file_is_written_as_a_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("thumb.jpg");
    let destination = PictureFile::new(path.clone());
    let add = async |names: &[&str]| {
        destination.check().unwrap();
        let mut archive = destination.start().await.unwrap();
        for name in names {
            if let Err(error) = archive.add(name, Bytes::from_static(b"picture")).await {
                archive.abort().await;
                return Err(error);
            }
        }
        archive.finish().await
    };
    for names in [&["a.jpg", "b.jpg", "manifest.json"][..], &["manifest.json"]] {
        let failed = add(names).await;
        assert!(
            matches!(failed, Err(ArchiveError::NotOnePicture(_))),
            "{names:?}: {failed:?}"
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{names:?}");
    }
    assert_eq!(add(&["a.jpg", "manifest.json"]).await.unwrap(), 7);
    assert_eq!(std::fs::read(&path).unwrap(), b"picture");
    let exists = destination.check();
    assert!(
        matches!(exists, Err(ArchiveError::Storage(StorageError::AlreadyExists(_)))),
        "{exists:?}"
    );
}
