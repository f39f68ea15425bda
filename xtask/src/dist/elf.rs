//! What an ELF file says of how it is linked: the program headers of System V ABI, chapter 5, 64-bit little-endian.

use anyhow::{Context, Result, ensure};

const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;

/// What would make the kernel or the dynamic linker look for other files.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Linkage {
    interpreter: bool,
    needed: usize,
}

impl Linkage {
    /// A static position independent executable has a dynamic section too; it asks for no interpreter and no library.
    pub(super) fn is_static(&self) -> bool {
        !self.interpreter && self.needed == 0
    }
}

/// Reads the headers.
///
/// # Errors
/// When the bytes are no 64-bit little-endian ELF file, or end early.
pub(super) fn linkage(file: &[u8]) -> Result<Linkage> {
    ensure!(file.starts_with(b"\x7fELF\x02\x01"), "no 64-bit little-endian ELF file");
    let table = offset(file, 0x20)?;
    let (size, count) = (usize::from(half(file, 0x36)?), usize::from(half(file, 0x38)?));
    let mut found = Linkage { interpreter: false, needed: 0 };
    for header in (0..count).map(|index| table + index * size) {
        match word(file, header)? {
            PT_INTERP => found.interpreter = true,
            PT_DYNAMIC => {
                let (start, length) = (offset(file, header + 0x08)?, offset(file, header + 0x20)?);
                found.needed = needed(file, start, length)?;
            }
            _ => {}
        }
    }
    Ok(found)
}

fn needed(file: &[u8], start: usize, length: usize) -> Result<usize> {
    let mut count = 0;
    for entry in (start..start + length).step_by(16) {
        match long(file, entry)? {
            DT_NULL => break,
            DT_NEEDED => count += 1,
            _ => {}
        }
    }
    Ok(count)
}

fn bytes<const N: usize>(file: &[u8], at: usize) -> Result<[u8; N]> {
    let end = at.checked_add(N).context("an offset is out of range")?;
    let found = file.get(at..end).with_context(|| format!("the file ends before byte {end}"))?;
    Ok(found.try_into().expect("the slice has N bytes"))
}

fn half(file: &[u8], at: usize) -> Result<u16> {
    Ok(u16::from_le_bytes(bytes(file, at)?))
}

fn word(file: &[u8], at: usize) -> Result<u32> {
    Ok(u32::from_le_bytes(bytes(file, at)?))
}

fn long(file: &[u8], at: usize) -> Result<u64> {
    Ok(u64::from_le_bytes(bytes(file, at)?))
}

fn offset(file: &[u8], at: usize) -> Result<usize> {
    usize::try_from(long(file, at)?).context("an offset is out of range")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with one program header of the given kind, and a dynamic section with the given tags.
    fn file(kind: u32, tags: &[u64]) -> Vec<u8> {
        let mut file = vec![0_u8; 0x40 + 0x38];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[0x20] = 0x40;
        file[0x36] = 0x38;
        file[0x38] = 1;
        file[0x40..0x44].copy_from_slice(&kind.to_le_bytes());
        file[0x48..0x50].copy_from_slice(&0x78_u64.to_le_bytes());
        file[0x60..0x68].copy_from_slice(&(16 * tags.len() as u64).to_le_bytes());
        for tag in tags {
            file.extend(tag.to_le_bytes());
            file.extend([0; 8]);
        }
        file
    }

    #[test]
    fn an_interpreter_or_a_library_is_seen() {
        assert!(!linkage(&file(PT_INTERP, &[])).expect("readable").is_static());
        assert!(!linkage(&file(PT_DYNAMIC, &[5, DT_NEEDED, DT_NULL])).expect("readable").is_static());
        assert!(linkage(&file(PT_DYNAMIC, &[5, DT_NULL, DT_NEEDED])).expect("readable").is_static());
    }

    #[test]
    fn a_cut_or_foreign_file_is_an_error() {
        assert!(linkage(b"MZ").is_err());
        assert!(linkage(&file(PT_DYNAMIC, &[DT_NEEDED])[..0x70]).is_err());
    }
}
