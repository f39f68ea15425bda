//! The ways in which a daemon loses its lock's path, each as one system call where there is one.

mod strike;

/// One way to lose the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    DeleteLock,
    RenameLock,
    ReplaceByEmptyFile,
    ReplaceByDirectory,
    ReplaceBySymlink,
    ReplaceByFifo,
    ReplaceByDevice,
    RemoveTree,
    RemoveTreeByRm,
    RenameDirectory,
    ExchangeDirectory,
    RenameParent,
    RenameGrandparent,
    MountOverDirectory,
    BindOverDirectory,
    MountOverParent,
    MountOverGrandparent,
}

impl Fault {
    /// Those that each watch setting is tried with, the removal of the whole directory apart.
    pub(crate) const LOSSES: [Self; 14] = [
        Self::DeleteLock,
        Self::RenameLock,
        Self::ReplaceByEmptyFile,
        Self::ReplaceByDirectory,
        Self::ReplaceBySymlink,
        Self::ReplaceByFifo,
        Self::ReplaceByDevice,
        Self::RenameDirectory,
        Self::ExchangeDirectory,
        Self::RenameParent,
        Self::RenameGrandparent,
        Self::MountOverDirectory,
        Self::BindOverDirectory,
        Self::MountOverGrandparent,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::DeleteLock => "lock-deleted",
            Self::RenameLock => "lock-renamed",
            Self::ReplaceByEmptyFile => "lock-replaced-by-empty-file",
            Self::ReplaceByDirectory => "lock-replaced-by-directory",
            Self::ReplaceBySymlink => "lock-replaced-by-symlink",
            Self::ReplaceByFifo => "lock-replaced-by-fifo",
            Self::ReplaceByDevice => "lock-replaced-by-device",
            Self::RemoveTree => "directory-deleted",
            Self::RemoveTreeByRm => "directory-deleted-by-rm",
            Self::RenameDirectory => "directory-renamed",
            Self::ExchangeDirectory => "directory-exchanged",
            Self::RenameParent => "parent-renamed",
            Self::RenameGrandparent => "grandparent-renamed",
            Self::MountOverDirectory => "directory-mounted-over",
            Self::BindOverDirectory => "directory-bind-mounted-over",
            Self::MountOverParent => "parent-mounted-over",
            Self::MountOverGrandparent => "grandparent-mounted-over",
        }
    }

    pub(crate) fn about(self) -> &'static str {
        match self {
            Self::DeleteLock => "the lock is deleted",
            Self::RenameLock => "the lock is renamed away",
            Self::ReplaceByEmptyFile => "an empty file is renamed over the lock",
            Self::ReplaceByDirectory => "the lock is exchanged for a directory",
            Self::ReplaceBySymlink => "a symlink is renamed over the lock",
            Self::ReplaceByFifo => "a FIFO is renamed over the lock",
            Self::ReplaceByDevice => "a device node is renamed over the lock",
            Self::RemoveTree => "the state directory is removed with all in it",
            Self::RemoveTreeByRm => "rm -rf of the state directory",
            Self::RenameDirectory => "the state directory is renamed",
            Self::ExchangeDirectory => "the state directory is exchanged for another with a lock in it",
            Self::RenameParent => "the home is renamed",
            Self::RenameGrandparent => "the home's parent is renamed",
            Self::MountOverDirectory => "a tmpfs is mounted over the state directory",
            Self::BindOverDirectory => "an empty directory is bind-mounted over the state directory",
            Self::MountOverParent => "a tmpfs is mounted over the home",
            Self::MountOverGrandparent => "a tmpfs is mounted over the home's parent",
        }
    }

    /// Whether the held inode keeps a name somewhere, and nothing else stands in its place: then the daemon looks twice.
    pub(crate) fn leaves_doubt(self) -> bool {
        match self {
            Self::RenameLock
            | Self::RenameDirectory
            | Self::RenameParent
            | Self::RenameGrandparent
            | Self::MountOverDirectory
            | Self::BindOverDirectory
            | Self::MountOverParent
            | Self::MountOverGrandparent => true,
            Self::DeleteLock
            | Self::ReplaceByEmptyFile
            | Self::ReplaceByDirectory
            | Self::ReplaceBySymlink
            | Self::ReplaceByFifo
            | Self::ReplaceByDevice
            | Self::RemoveTree
            | Self::RemoveTreeByRm
            | Self::ExchangeDirectory => false,
        }
    }

    /// Whether a lock of the wrong kind stands in the way of the next client.
    pub(crate) fn blocks_the_path(self) -> bool {
        matches!(
            self,
            Self::ReplaceByDirectory | Self::ReplaceBySymlink | Self::ReplaceByFifo | Self::ReplaceByDevice
        )
    }

    /// Whether the old daemon's directory is still somewhere, at its path or not.
    pub(crate) fn keeps_the_directory(self) -> bool {
        !matches!(self, Self::RemoveTree | Self::RemoveTreeByRm)
    }

    /// Whether it is a mount, and so takes a mount namespace of our own.
    pub(crate) fn is_mount(self) -> bool {
        matches!(
            self,
            Self::MountOverDirectory
                | Self::BindOverDirectory
                | Self::MountOverParent
                | Self::MountOverGrandparent
        )
    }

    /// What it takes before the next client can succeed.
    pub(crate) fn remedy(self) -> Option<&'static str> {
        match self {
            Self::ReplaceByDirectory => Some("the directory in the lock's place is removed"),
            Self::ReplaceBySymlink => Some("the symlink in the lock's place is removed"),
            Self::ReplaceByFifo => Some("the FIFO in the lock's place is removed"),
            Self::ReplaceByDevice => Some("the device node in the lock's place is removed"),
            Self::RenameParent | Self::RenameGrandparent | Self::MountOverGrandparent => {
                Some("the home is made again")
            }
            _ => None,
        }
    }
}
