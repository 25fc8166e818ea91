//! The folder of routes that were made over HTTP: one file each, written whole or not at all. What
//! cannot be read stays where it is. Never touches a file of another name.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{Object, is_id};
use crate::options::Problem;

/// Routes by HTTP at the same time.
pub const MOST_ROUTES: usize = 32;
/// Largest file, in bytes; also the largest body of a request.
pub const MOST_FILE_BYTES: u64 = 64 * 1024;
/// Entries of the folder that are looked at.
const MOST_ENTRIES: usize = 1024;
/// A stored route is the operator's alone, as logspout has it.
const MODE: u32 = 0o600;

/// Where routes are stored.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The folder if it exists, as in logspout; else nothing is stored.
    pub fn at(path: &Path) -> Option<Self> {
        path.is_dir().then(|| Self { path: path.to_owned() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The routes that are stored, in the order of their ids, and what is wrong with the others.
    pub fn load(&self) -> (Vec<Object>, Vec<Problem>) {
        let (mut objects, mut problems) = (Vec::new(), Vec::new());
        for path in self.files(&mut problems) {
            let skipped = |why: String| {
                Problem::new(format!(
                    "the stored route {} is passed over: {why}; correct or remove the file",
                    path.display()
                ))
            };
            match read(&path) {
                Ok(_) if objects.len() == MOST_ROUTES => {
                    problems.push(skipped(format!("{MOST_ROUTES} are the most")));
                }
                Ok(object) => objects.push(object),
                Err(why) => problems.push(skipped(why)),
            }
        }
        (objects, problems)
    }

    fn files(&self, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
        let entries = match std::fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(why) => {
                let path = self.path.display();
                problems.push(Problem::new(format!(
                    "ROUTESPATH={path}: cannot be read ({why}); no stored route is used; make it \
                     readable"
                )));
                return Vec::new();
            }
        };
        let paths = entries.take(MOST_ENTRIES).filter_map(|entry| Some(entry.ok()?.path()));
        let mut paths: Vec<PathBuf> =
            paths.filter(|path| path.extension().is_some_and(|word| word == "json")).collect();
        paths.sort();
        paths
    }

    /// Stores a route, in the place of one with the same id.
    pub fn save(&self, object: &Object) -> Result<(), Problem> {
        let path = self.file(&object.id);
        // No id begins with a dot.
        let fresh = self.path.join(format!(".{}.new", object.id));
        let written = write(&fresh, object.print().as_bytes())
            .and_then(|()| std::fs::rename(&fresh, &path))
            .and_then(|()| File::open(&self.path)?.sync_all());
        written.map_err(|why| {
            std::fs::remove_file(&fresh).ok();
            Problem::new(format!(
                "cannot store the route as {}: {why}; make ROUTESPATH writable or make room",
                path.display()
            ))
        })
    }

    /// Removes a stored route.
    pub fn remove(&self, id: &str) -> Result<(), Problem> {
        let path = self.file(id);
        match std::fs::remove_file(&path) {
            Err(why) if why.kind() != ErrorKind::NotFound => Err(Problem::new(format!(
                "cannot remove {}: {why}; make ROUTESPATH writable",
                path.display()
            ))),
            _ => Ok(()),
        }
    }

    fn file(&self, id: &str) -> PathBuf {
        self.path.join(format!("{id}.json"))
    }
}

fn read(path: &Path) -> Result<Object, String> {
    // A pipe would be waited for.
    if !std::fs::metadata(path).map_err(|why| why.to_string())?.is_file() {
        return Err("it is no plain file".into());
    }
    let mut text = Vec::new();
    let file = File::open(path).map_err(|why| why.to_string())?;
    file.take(MOST_FILE_BYTES + 1).read_to_end(&mut text).map_err(|why| why.to_string())?;
    if text.len() as u64 > MOST_FILE_BYTES {
        return Err("it holds more than 64 KiB".into());
    }
    let object: Object = serde_json::from_slice(&text).map_err(|why| why.to_string())?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    if !is_id(&object.id) || object.id != stem {
        return Err(format!(
            "its id is '{}' and must be the name of the file, '{}'",
            object.id.escape_debug(),
            stem.escape_debug()
        ));
    }
    Ok(object)
}

fn write(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn object(id: &str) -> Object {
        let (id, adapter, address) = (id.to_owned(), "syslog".to_owned(), "h:1".to_owned());
        Object { id, adapter, address, ..Object::default() }
    }

    #[test]
    fn what_is_stored_is_there_again_until_it_is_removed() {
        let place = tempfile::tempdir().unwrap();
        assert!(Folder::at(&place.path().join("missing")).is_none());
        let folder = Folder::at(place.path()).unwrap();
        folder.save(&object("b")).unwrap();
        folder.save(&object("a")).unwrap();
        let changed = Object { address: "h:2".into(), ..object("a") };
        folder.save(&changed).unwrap();
        let (objects, problems) = folder.load();
        assert_eq!((objects, problems.len()), (vec![changed.clone(), object("b")], 0));
        let file = place.path().join("a.json");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), changed.print());
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 2, "nothing else is left");
        folder.remove("a").unwrap();
        folder.remove("a").unwrap();
        assert_eq!(folder.load().0, [object("b")]);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named_and_kept_and_the_others_are_used() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::at(place.path()).unwrap();
        folder.save(&object("good")).unwrap();
        let put = |name: &str, text: &str| std::fs::write(place.path().join(name), text).unwrap();
        put("torn.json", "{\"id\":\"torn\"");
        put("other.json", &object("another").print());
        put("huge.json", &format!("{{\"id\":\"huge\",\"x\":\"{}\"}}", "x".repeat(70_000)));
        put("notes.txt", "not for us");
        std::fs::create_dir(place.path().join("folder.json")).unwrap();
        let (objects, problems) = folder.load();
        assert_eq!(objects, [object("good")]);
        let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(text.len(), 4, "{text:?}");
        for (name, word) in [
            ("torn.json", "EOF"),
            ("other.json", "its id is 'another'"),
            ("huge.json", "more than 64 KiB"),
            ("folder.json", "no plain file"),
        ] {
            let named = |line: &&String| line.contains(name) && line.contains(word);
            assert!(text.iter().any(|line| named(&line)), "{name}: {text:?}");
            assert!(place.path().join(name).exists());
        }
        assert!(text.iter().all(|line| line.ends_with("; correct or remove the file")), "{text:?}");
    }

    #[test]
    fn no_more_are_used_than_there_may_be() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::at(place.path()).unwrap();
        for number in 0..=MOST_ROUTES {
            folder.save(&object(&format!("r{number:02}"))).unwrap();
        }
        let (objects, problems) = folder.load();
        assert_eq!((objects.len(), problems.len()), (MOST_ROUTES, 1));
        assert!(problems[0].to_string().contains("32 are the most"));
    }
}
