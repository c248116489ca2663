//! Overwrites the unused parts of SQLite's pages. `secure_delete` overwrites a row where it is deleted, but neither the copies that
//! stayed behind when rows moved to other pages, nor rows that an earlier version deleted.
//!
//! The code works below SQLite, on its file format (<https://sqlite.org/fileformat2.html>), and only while nothing else can write
//! to the file: on the store's writer thread, with SQLite's write lock, and with an empty log, from which nothing can be copied.
//! The overwritten bytes belong to no row, so that readers do not notice.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The size of the file's header, which comes before the page's own header on the first page.
const FILE_HEADER_BYTES: usize = 100;

/// SQLite takes its locks on the page that begins at this byte of the file; that page contains no data.
const LOCKED_BYTE: u64 = 1 << 30;

/// In a file with this number of pages, usually 128 GiB, an overflow page of a long row may begin like a page of a tree, because it
/// begins with the number of the next page. In smaller files the first byte tells them apart.
const PAGES_MAX: u32 = 2 << 24;

/// Maximum number of levels that are walked down in a tree; four levels hold more rows than any disk.
const LEVELS_MAX: u32 = 8;

/// A store's file as it is on the disk. Closing it would release SQLite's locks on the file in this process, so that it stays open
/// as long as the store.
pub(crate) struct Pages {
    file: File,
}

/// The data from the file's header.
struct FileLayout {
    page_bytes: usize,
    /// Number of bytes of a page that SQLite uses.
    usable: usize,
    /// Number of pages in the file.
    count: u32,
    /// The free pages, and below them the pages that list free pages and use part of their own space for the list.
    free: HashSet<u32>,
    lists: HashSet<u32>,
}

impl Pages {
    pub(crate) fn open(path: &Path) -> io::Result<Pages> {
        let file = File::options().read(true).write(true).open(path)?;
        Ok(Pages { file })
    }

    /// Overwrites the unused parts of `count` pages, beginning with page `from`. Returns the page at which to continue; `None` at
    /// the end.
    pub(super) fn scrub(&self, from: u32, count: u32) -> io::Result<Option<u32>> {
        let layout = self.layout()?;
        let end = from
            .saturating_add(count)
            .min(layout.count.saturating_add(1));
        for page in from..end {
            self.scrub_page(&layout, page)?;
        }
        self.file.sync_data()?;
        Ok((end <= layout.count).then_some(end))
    }

    /// Overwrites the unused parts of the pages that lead to the first row of a table, and of the page with that row.
    pub(super) fn scrub_edge(&self, root: u32) -> io::Result<()> {
        let layout = self.layout()?;
        let mut page = Some(root);
        for _ in 0..LEVELS_MAX {
            let Some(number) = page else { break };
            self.scrub_page(&layout, number)?;
            page = first_child(&self.read(&layout, number)?, header_at(number));
        }
        self.file.sync_data()
    }

    fn scrub_page(&self, layout: &FileLayout, page: u32) -> io::Result<()> {
        if layout.offset(page) == LOCKED_BYTE {
            return Ok(());
        }
        let bytes = self.read(layout, page)?;
        let unused = if layout.free.contains(&page) {
            vec![(0, layout.page_bytes)]
        } else if layout.lists.contains(&page) {
            let leaves = number_at(&bytes, 4).unwrap_or(u32::MAX) as usize;
            vec![(
                8_usize.saturating_add(leaves.saturating_mul(4)),
                layout.usable,
            )]
        } else if layout.count < PAGES_MAX {
            unused(&bytes, header_at(page), layout.usable).unwrap_or_default()
        } else {
            Vec::new()
        };
        for (start, end) in unused {
            let left = bytes.get(start..end).unwrap_or_default();
            if left.iter().any(|byte| *byte != 0) {
                let zeros = vec![0; left.len()];
                self.file
                    .write_all_at(&zeros, layout.offset(page) + start as u64)?;
            }
        }
        Ok(())
    }

    fn read(&self, layout: &FileLayout, page: u32) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; layout.page_bytes];
        self.file.read_exact_at(&mut bytes, layout.offset(page))?;
        Ok(bytes)
    }

    fn layout(&self) -> io::Result<FileLayout> {
        let mut header = [0; FILE_HEADER_BYTES];
        self.file.read_exact_at(&mut header, 0)?;
        let page_bytes = match u16::from_be_bytes([header[16], header[17]]) {
            1 => 65_536,
            bytes => usize::from(bytes),
        };
        let usable = page_bytes.saturating_sub(header[20].into());
        if !header.starts_with(b"SQLite format 3\0") || page_bytes < 512 || usable < 480 {
            return Err(io::Error::other("the store's file is not one of SQLite's"));
        }
        let pages = self.file.metadata()?.len() / page_bytes as u64;
        let mut layout = FileLayout {
            page_bytes,
            usable,
            count: u32::try_from(pages).unwrap_or(u32::MAX),
            free: HashSet::new(),
            lists: HashSet::new(),
        };
        self.read_free(&mut layout, number_at(&header, 32).unwrap_or(0))?;
        Ok(layout)
    }

    /// Reads the lists of free pages.
    fn read_free(&self, layout: &mut FileLayout, first: u32) -> io::Result<()> {
        let mut list = first;
        while (1..=layout.count).contains(&list) && layout.lists.insert(list) {
            let bytes = self.read(layout, list)?;
            let leaves = number_at(&bytes, 4).unwrap_or(0) as usize;
            let listed = (0..leaves).map_while(|leaf| number_at(&bytes, 8 + 4 * leaf));
            layout.free.extend(listed);
            list = number_at(&bytes, 0).unwrap_or(0);
        }
        Ok(())
    }
}

impl FileLayout {
    fn offset(&self, page: u32) -> u64 {
        u64::from(page.saturating_sub(1)) * self.page_bytes as u64
    }
}

/// Returns the unused parts of a tree's page: the space between the list of cells and the first cell, and the gaps between cells.
/// `None` for a damaged page, or a page that is not part of a tree.
fn unused(page: &[u8], header: usize, usable: usize) -> Option<Vec<(usize, usize)>> {
    let list = header + if is_leaf(*page.get(header)?)? { 8 } else { 12 };
    let list_end = list + 2 * short_at(page, header + 3)?;
    let cells = match short_at(page, header + 5)? {
        0 => 65_536,
        start => start,
    };
    if list_end > cells || cells > usable {
        return None;
    }
    let mut unused = vec![(list_end, cells)];
    let (mut gap, mut behind) = (short_at(page, header + 1)?, cells);
    while gap != 0 {
        let (next, bytes) = (short_at(page, gap)?, short_at(page, gap + 2)?);
        if gap < behind || bytes < 4 || gap + bytes > usable {
            return None;
        }
        unused.push((gap + 4, gap + bytes));
        (gap, behind) = (next, gap + bytes);
    }
    Some(unused)
}

/// Returns the page under which the first rows of a table are, if this is an interior page.
fn first_child(page: &[u8], header: usize) -> Option<u32> {
    if is_leaf(*page.get(header)?)? {
        return None;
    }
    match short_at(page, header + 3)? {
        0 => number_at(page, header + 8),
        _ => number_at(page, short_at(page, header + 12)?),
    }
}

/// Returns whether a page with this first byte is a leaf of its tree; `None` if it is not part of a tree.
fn is_leaf(kind: u8) -> Option<bool> {
    match kind {
        10 | 13 => Some(true),
        2 | 5 => Some(false),
        _ => None,
    }
}

fn header_at(page: u32) -> usize {
    if page == 1 { FILE_HEADER_BYTES } else { 0 }
}

fn short_at(bytes: &[u8], at: usize) -> Option<usize> {
    let short = bytes.get(at..at + 2)?.try_into().ok()?;
    Some(u16::from_be_bytes(short).into())
}

fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    let number = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_be_bytes(number))
}
