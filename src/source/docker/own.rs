//! Which container we are ourselves, so that our own lines are never shipped in a circle.

/// The id of the container that this process runs in; `None` outside of containers.
///
/// The engine mounts files of its container folder (`resolv.conf`, `hostname`, `hosts`) into
/// every container, with the id in the path, also with cgroup namespaces and any host name.
pub(super) fn container_id() -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    find_id(&mounts)
}

fn find_id(mounts: &str) -> Option<String> {
    mounts.lines().find_map(|line| {
        let (_, rest) = line.split_once("/containers/")?;
        let id = rest.split('/').next()?;
        let is_id = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_id.then(|| id.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_found_among_the_mounts_of_a_container() {
        let id = "4f".repeat(32);
        let mounts = format!(
            "1 2 0:5 / /proc rw - proc proc rw\n\
             3 2 8:1 /var/lib/docker/containers/{id}/hostname /etc/hostname rw - ext4 /dev/sda1 rw\n"
        );
        assert_eq!(find_id(&mounts), Some(id));
        assert_eq!(find_id("9 9 8:1 /var/lib/docker/containers/short/x /y rw - ext4 z rw"), None);
    }
}
