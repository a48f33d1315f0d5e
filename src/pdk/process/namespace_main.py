"""Runs inside the child: make a private mount namespace with real paths such as `/pfs`, then exec the command.

Executed as a script (`python -I -S namespace_main.py <json>`) by `pdk.process.child`, so it imports the standard
library only and nothing of pdk. JSON: {"root": empty folder, "mounts": [[source, target, read_only]], "cwd": path,
"argv": [...]}.

A new root is assembled on a tmpfs: every entry of `/` is bound into it, folders on the way to a target are rebuilt
entry by entry, so a target need not exist on the machine and nothing of the machine is changed. Works as root and,
through a user namespace, as an ordinary user. Exit status 125 = the namespace could not be made (reason on stderr),
126/127 = exec.
"""

import ctypes
import errno
import json
import os
import platform
import stat
import sys

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
# nosuid, nodev, noexec: the same bits in what statvfs(2) reports.
MS_LOCKED = 2 | 4 | 8
MNT_DETACH = 2
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    """Raise OSError with `what` when a libc call returned -1."""
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str, flags: int) -> None:
    """Call mount(2). Raises OSError naming the target."""
    result = libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), None)
    check(result, f"mount {source or kind} on {target}")


def unshare() -> None:
    """Enter a new mount namespace, through a user namespace when this user may not do it directly."""
    if libc.unshare(CLONE_NEWNS) == 0:
        return
    if ctypes.get_errno() != errno.EPERM:
        check(-1, "unshare")
    uid, gid = os.geteuid(), os.getegid()
    check(libc.unshare(CLONE_NEWUSER | CLONE_NEWNS), "unshare of a user namespace")
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123 - pathlib costs start-up time here
            file.write(text)


def bind(source: str, target: str) -> None:
    """Bind one folder or file of the machine, with what is mounted below it, to a path of the new root."""
    mode = os.lstat(source).st_mode
    if stat.S_ISLNK(mode):
        os.symlink(os.readlink(source), target)  # noqa: PTH115, PTH211 - no pathlib here, see above
        return
    if stat.S_ISDIR(mode):
        os.mkdir(target)  # noqa: PTH102
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    mount(source, target, "", MS_BIND | MS_REC)


def rebuild(host: str, new: str, targets: list[list[str]]) -> None:
    """Fill folder `new` with the entries of `host`; descend where a target (list of path parts) lies below."""
    below: dict[str, list[list[str]]] = {}
    for parts in targets:
        below.setdefault(parts[0], []).append(parts[1:])
    names = os.listdir(host) if os.path.isdir(host) else []  # noqa: PTH112, PTH208
    for name in sorted(set(names) | set(below)):
        source, target = f"{host.rstrip('/')}/{name}", f"{new}/{name}"
        if name not in below:
            bind(source, target)
            continue
        os.mkdir(target)  # noqa: PTH102
        deeper = [parts for parts in below[name] if parts]
        if deeper:
            rebuild(source, target, deeper)


def enter(root: str, mounts: list[tuple[str, str, bool]]) -> None:
    """Build the new root on `root`, mount `mounts` into it and make it `/`."""
    unshare()
    mount("none", "/", "", MS_REC | MS_PRIVATE)
    mount("tmpfs", root, "tmpfs", 0)
    rebuild("/", root, [target.strip("/").split("/") for _, target, _ in mounts])
    for source, target, read_only in mounts:
        mount(source, root + target, "", MS_BIND | MS_REC)
        if read_only:
            # A remount must name the flags the machine's mount has: an ordinary user may not take them away.
            locked = os.statvfs(root + target).f_flag & MS_LOCKED
            mount("none", root + target, "", MS_BIND | MS_REMOUNT | MS_RDONLY | locked)
    old = f"{root}/.old-root"
    os.mkdir(old)  # noqa: PTH102
    check(libc.syscall(SYS_PIVOT_ROOT[platform.machine()], root.encode(), old.encode()), "pivot_root")
    os.chdir("/")
    check(libc.umount2(b"/.old-root", MNT_DETACH), "umount of the old root")
    # Binding its parent folder showed the new root inside itself. The folder is removed here and not by the server: a
    # killed one would leave it behind.
    check(libc.umount2(root.encode(), MNT_DETACH), "umount of the new root inside itself")
    os.rmdir(root)  # noqa: PTH106
    os.rmdir("/.old-root")  # noqa: PTH106


def main() -> None:
    """Enter the namespace and exec the command."""
    order = json.loads(sys.argv[1])
    try:
        enter(order["root"], order["mounts"])
    except OSError as error:
        sys.stderr.write(f"cannot make the mount namespace: {error.strerror}\n")
        sys.exit(125)
    try:
        os.chdir(order["cwd"])
        os.execvp(order["argv"][0], order["argv"])
    except OSError as error:
        sys.stderr.write(f"{order['argv'][0]}: {error.strerror}\n")
        sys.exit(127 if error.errno == errno.ENOENT else 126)


if __name__ == "__main__":
    main()
