//! What a JPEG's marker segments say (ITU-T T.81, annex B), read before libjpeg sees it.

/// Scans at most. Progressive JPEGs have about ten; each costs a walk over the whole picture, in a file of a few bytes.
const MAX_SCANS: usize = 256;

/// What is to be known of a file.
#[derive(Debug, Default)]
pub(super) struct Markers<'a> {
    /// The first block of EXIF data.
    pub(super) exif: Option<&'a [u8]>,
    /// Whether it is progressive.
    pub(super) progressive: bool,
    /// Scans.
    pub(super) scans: usize,
    /// Components of the frame that no scan begins.
    pub(super) missing: Vec<u8>,
    /// Samples of a pixel in sixteenths, subsampling taken into account: 48 for 4:4:4, 24 for 4:2:0.
    pub(super) samples: usize,
}

impl<'a> Markers<'a> {
    /// Walks over the segments to the end of the picture, or of what is there of it.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let mut found = Self::default();
        let mut rest = bytes.get(2..).unwrap_or_default();
        while let Some((marker, after)) = next(rest) {
            rest = after;
            match marker {
                // End of the picture: others may follow, such as the second eye of a stereo pair.
                0xd9 => break,
                // Without a segment.
                0x01 | 0xd0..=0xd8 => continue,
                _ => (),
            }
            let Some(len) = rest.first_chunk().map(|&len| usize::from(u16::from_be_bytes(len))) else {
                break;
            };
            let segment = rest.get(2..len).unwrap_or_default();
            match marker {
                0xe1 if segment.starts_with(b"Exif\0\0") => _ = found.exif.get_or_insert(segment),
                0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => found.frame(marker, segment),
                0xda => found.scan(segment)?,
                _ => (),
            }
            rest = rest.get(len.max(2)..).unwrap_or_default();
        }
        Ok(found)
    }

    /// The frame's header: precision, height, width, and for each component its name, its factors and its table.
    fn frame(&mut self, marker: u8, segment: &[u8]) {
        self.progressive = matches!(marker, 0xc2 | 0xca);
        let components = segment.get(6..).unwrap_or_default().as_chunks::<3>().0;
        let factors = |&[_, factors, _]: &[u8; 3]| usize::from(factors >> 4) * usize::from(factors & 15);
        let most = |shift: u8| components.iter().map(|&[_, factors, _]| factors >> shift & 15).max();
        let unit = usize::from(most(4).unwrap_or(1)) * usize::from(most(0).unwrap_or(1));
        self.samples = 16 * components.iter().map(factors).sum::<usize>() / unit.max(1);
        self.missing = components.iter().map(|&[name, ..]| name).collect();
    }

    /// A scan's header: for each component its name and its tables, then the first coefficient of the scan.
    fn scan(&mut self, segment: &[u8]) -> Result<(), String> {
        self.scans += 1;
        if self.scans > MAX_SCANS {
            return Err(format!("a JPEG of more than {MAX_SCANS} scans"));
        }
        let Some((&count, rest)) = segment.split_first() else { return Ok(()) };
        let (components, rest) = rest.split_at(rest.len().min(2 * usize::from(count)));
        if rest.first() == Some(&0) {
            self.missing.retain(|name| !components.as_chunks().0.iter().any(|[other, _]| other == name));
        }
        Ok(())
    }
}

/// The next marker and what follows it. Between segments and in scans, other bytes may come before it.
fn next(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let mut rest = bytes;
    loop {
        rest = &rest[rest.iter().position(|&byte| byte == 0xff)? + 1..];
        match rest {
            // A byte of 255 in a scan, and filling before a marker.
            [] => return None,
            [0, ..] | [0xff, ..] => (),
            [marker, after @ ..] => return Some((*marker, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
        [&[0xff, marker], &(content.len() as u16 + 2).to_be_bytes()[..], content].concat()
    }

    #[test]
    fn scans_and_components_are_counted() {
        let frame = segment(0xc2, &[8, 0, 9, 0, 7, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1]);
        let scan = |names: &[u8], first: u8| {
            let tables: Vec<u8> = names.iter().flat_map(|&name| [name, 0]).collect();
            let content = [&[names.len() as u8], &tables[..], &[first, 0, 0]].concat();
            [segment(0xda, &content), vec![1, 0xff, 0, 2, 0xff, 0xd0, 3]].concat()
        };
        let file = |scans: &[Vec<u8>]| [&b"\xff\xd8\xff"[..], &frame, &scans.concat(), b"\xff\xd9"].concat();
        let bytes = file(&[scan(&[1], 0), scan(&[1], 1), scan(&[2], 0)]);
        let markers = Markers::read(&bytes).unwrap();
        assert_eq!((markers.scans, markers.progressive, markers.samples), (3, true, 24));
        assert_eq!(markers.missing, [3]);
        let whole = file(&[scan(&[1, 2, 3], 0)]);
        assert!(Markers::read(&whole).unwrap().missing.is_empty());
        let many = file(&vec![scan(&[1, 2, 3], 0); MAX_SCANS + 1]);
        assert_eq!(Markers::read(&many).unwrap_err(), "a JPEG of more than 256 scans");
        for end in 0..bytes.len() {
            assert!(Markers::read(&bytes[..end]).is_ok());
        }
    }
}
