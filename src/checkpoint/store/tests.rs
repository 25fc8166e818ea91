//! Oracle: after a power cut the file is the last one saved or the one being saved, whole.

use proptest::prelude::*;

use super::*;
use crate::checkpoint::model::{Fault, Model, snapshots};
use crate::lane::Kept;
use crate::record::{Resume, Timestamp};

fn on(model: &Model) -> Opened {
    Store::on(Path::new("/state"), Box::new(model.clone())).unwrap()
}

fn snapshot(since: i64) -> Snapshot {
    let logs = [("c".to_owned(), Resume::default())].into();
    [("a".to_owned(), Kept { since: Timestamp::from_nanos(since), logs })].into()
}

fn faults() -> impl Strategy<Value = Fault> {
    prop_oneof![
        2 => Just(Fault::None),
        4 => (0..7_usize).prop_map(|after| Fault::PowerCut { after }),
        1 => (0..7_usize).prop_map(|after| Fault::Full { after }),
        1 => (0..7_usize).prop_map(|after| Fault::StaysFull { after }),
    ]
}

/// One save, the fault that meets it, and whether the power is cut right after it in any case.
type Act = (Snapshot, Fault, bool);

fn acts() -> impl Strategy<Value = Vec<Act>> {
    prop::collection::vec((snapshots(), faults(), any::<bool>()), 1..8)
}

proptest! {
    #[test]
    fn after_a_power_cut_it_is_the_last_one_or_the_next_one(
        acts in acts(), seed in any::<u64>(), cut_while_opening in 0..12_usize,
    ) {
        let mut random = fastrand::Rng::with_seed(seed);
        let model = Model::default();
        let mut opened = on(&model);
        // What may be there after a power cut, and what an agent that goes on must see.
        let mut possible = vec![Snapshot::new()];
        for (next, fault, cut) in acts {
            model.set(fault);
            let saved = opened.store.save(&next);
            if saved.is_ok() {
                possible.clear();
            }
            possible.push(next);
            model.set(Fault::None);
            if !cut && !model.is_dead() {
                continue;
            }
            model.restart(|sides| random.usize(..sides));
            // A start that is cut short leaves the file alone.
            model.set(Fault::PowerCut { after: cut_while_opening });
            drop(on(&model));
            if model.is_dead() {
                model.restart(|sides| random.usize(..sides));
            }
            model.set(Fault::None);
            opened = on(&model);
            prop_assert_eq!(&opened.notes, &Vec::<String>::new());
            prop_assert!(
                possible.contains(&opened.snapshot),
                "{:?} is none of {possible:?}", opened.snapshot
            );
            possible = vec![opened.snapshot.clone()];
        }
    }

    #[test]
    fn a_full_disk_leaves_the_last_one_and_no_half_of_the_next(
        first in snapshots(), next in snapshots(), after in 0..4_usize,
    ) {
        let model = Model::default();
        let mut opened = on(&model);
        opened.store.save(&first).unwrap();
        // The steps are create, write, sync, rename; then the folder, and the file is replaced.
        model.set(Fault::Full { after });
        prop_assert!(opened.store.save(&next).is_err());
        prop_assert_eq!(model.listing(), [CHECKPOINT]);
        prop_assert_eq!(on(&model).snapshot, first);
        model.set(Fault::None);
        opened.store.save(&next).unwrap();
        prop_assert_eq!(on(&model).snapshot, next);
    }
}

#[test]
fn what_a_killed_agent_left_half_written_is_cleared_away() {
    let model = Model::default();
    model.put(NEW, b"downspout chec");
    let opened = on(&model);
    assert_eq!(opened.notes, Vec::<String>::new());
    assert_eq!(model.listing(), Vec::<String>::new());
}

#[test]
fn a_damaged_file_is_copied_and_stays_until_a_whole_one_replaces_it() {
    let model = Model::default();
    let mut damaged = format::text(&snapshot(5)).into_bytes();
    damaged.truncate(damaged.len() - 20);
    model.put(CHECKPOINT, &damaged);
    let mut opened = on(&model);
    assert_eq!(opened.snapshot, snapshot(5), "the end alone is lost");
    assert!(opened.notes[0].contains("/state/checkpoint is damaged"), "{:?}", opened.notes);
    assert_eq!(opened.notes.len(), 1);
    assert_eq!(model.content(DAMAGED), Some(damaged.clone()));
    assert_eq!(model.content(CHECKPOINT), Some(damaged));
    opened.store.save(&snapshot(6)).unwrap();
    assert_eq!(on(&model).notes, Vec::<String>::new());
    assert_eq!(on(&model).snapshot, snapshot(6));
}

#[test]
fn a_newer_file_is_kept_as_far_as_it_is_understood_and_said_so() {
    let model = Model::default();
    let newer = format::text(&snapshot(5)).replace("checkpoint 1", "checkpoint 12");
    model.put(CHECKPOINT, newer.as_bytes());
    let opened = on(&model);
    assert_eq!(opened.snapshot, snapshot(5));
    assert!(opened.notes[0].contains("newer downspout (version 12"), "{:?}", opened.notes);
    assert_eq!(model.content(DAMAGED), None);
}

#[test]
fn a_folder_that_another_agent_holds_is_refused_and_not_written() {
    let model = Model::default();
    let mut opened = on(&model);
    model.claim_by_another(true);
    let problem = Store::on(Path::new("/state"), Box::new(model.clone())).err().unwrap();
    let text = problem.to_string();
    assert!(text.contains("/state") && text.contains("DOWNSPOUT_STATE_DIR"), "{text}");
    opened.store.save(&snapshot(1)).unwrap_err();
    assert_eq!(model.listing(), Vec::<String>::new());
}

// ── the real file system ────────────────────────────────────────────────────────────────────

fn really(folder: &Path) -> Opened {
    Store::on(folder, Box::new(Folder::new(folder))).unwrap()
}

#[test]
fn a_missing_folder_is_made_and_only_its_owner_may_look() {
    use std::os::unix::fs::PermissionsExt;
    let top = tempfile::tempdir().unwrap();
    let folder = top.path().join("a/b");
    let mut opened = really(&folder);
    assert_eq!((opened.notes.len(), opened.snapshot.len()), (0, 0));
    opened.store.save(&snapshot(7)).unwrap();
    opened.store.save(&snapshot(8)).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join(CHECKPOINT)), 0o600);
    assert!(!folder.join(NEW).exists());
    drop(opened);
    assert_eq!(really(&folder).snapshot, snapshot(8));
}

#[test]
fn one_agent_at_a_time_has_a_folder() {
    let top = tempfile::tempdir().unwrap();
    let first = Store::open(top.path()).unwrap();
    let problem = Store::open(top.path()).unwrap_err().to_string();
    assert!(problem.contains(&top.path().display().to_string()), "{problem}");
    drop(first);
    Store::open(top.path()).unwrap();
}

#[test]
fn a_folder_that_cannot_be_made_costs_positions_not_the_start() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let folder = file.path().join("state");
    let mut opened = really(&folder);
    assert_eq!(opened.notes.len(), 1, "{:?}", opened.notes);
    let note = &opened.notes[0];
    assert!(note.contains("positions are not kept") && note.contains("mount a volume"), "{note}");
    assert!(note.contains(&folder.display().to_string()), "{note}");
    opened.store.save(&snapshot(1)).unwrap_err();
    // Once it can be made it is.
    let path = file.path().to_owned();
    file.close().unwrap();
    opened.store.save(&snapshot(2)).unwrap();
    assert_eq!(
        format::read(&std::fs::read(folder.join(CHECKPOINT)).unwrap()).snapshot,
        snapshot(2)
    );
    std::fs::remove_dir_all(path).unwrap();
}

#[test]
fn a_folder_that_cannot_be_written_is_read_and_its_lock_respected() {
    let top = tempfile::tempdir().unwrap();
    let damaged = format::text(&snapshot(4)).replace("end", "END");
    std::fs::write(top.path().join(CHECKPOINT), damaged).unwrap();
    // Can be opened and locked but not written, as a file of a read-only volume; for root too.
    let lock = top.path().join("lock");
    std::fs::create_dir(&lock).unwrap();
    let mut opened = really(top.path());
    assert_eq!(opened.snapshot, snapshot(4));
    assert!(opened.notes[0].contains("positions are not kept"), "{:?}", opened.notes);
    assert!(opened.notes[1].contains("is damaged"), "{:?}", opened.notes);
    opened.store.save(&snapshot(5)).unwrap_err();
    assert!(!top.path().join(DAMAGED).exists() && !top.path().join(NEW).exists());
    let other = std::fs::File::open(&lock).unwrap();
    other.try_lock().unwrap();
    Store::open(top.path()).unwrap_err();
}

#[test]
fn a_file_that_cannot_be_read_is_set_aside_and_the_next_one_is_written() {
    let top = tempfile::tempdir().unwrap();
    // What a container runtime makes of a mount whose file is missing.
    std::fs::create_dir(top.path().join(CHECKPOINT)).unwrap();
    let mut opened = really(top.path());
    assert!(opened.notes[0].contains("cannot read"), "{:?}", opened.notes);
    opened.store.save(&snapshot(3)).unwrap();
    assert!(top.path().join(DAMAGED).is_dir());
    drop(opened);
    assert_eq!(really(top.path()).snapshot, snapshot(3));
}

#[test]
fn a_link_in_the_place_of_the_next_file_is_not_followed() {
    let top = tempfile::tempdir().unwrap();
    let (folder, other) = (top.path().join("state"), top.path().join("other"));
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(&other, "precious").unwrap();
    std::os::unix::fs::symlink(&other, folder.join(NEW)).unwrap();
    really(&folder).store.save(&snapshot(1)).unwrap();
    assert_eq!(std::fs::read_to_string(other).unwrap(), "precious");
}
