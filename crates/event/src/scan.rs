//! A walk over JSON text that is known to be valid, or about to be checked, without recursion and without building
//! anything. It never panics on text that is not JSON; it just gives up or walks on.

use memchr::memchr2;

/// Whether nothing is nested deeper than this.
pub(crate) fn depth_fits(json: &[u8], depth_max: usize) -> bool {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(&byte) = json.get(at) {
        match byte {
            b'"' => at = string_end(json, at),
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > depth_max {
            return false;
        }
        at += 1;
    }
    true
}

/// Where the string that starts at `start` has its closing quote (the end of the text if it has none).
fn string_end(json: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(found) = json.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if json[at] == b'"' {
            return at;
        }
        at += 2;
    }
    json.len()
}

/// The texts of the objects in an array of at most `count_max` objects; `None` if it is anything else. Each has balanced
/// brackets and is not looked into: if all of them are JSON, so is the array.
pub(crate) fn objects(array: &str, count_max: usize) -> Option<Vec<&str>> {
    let mut cursor = Cursor::new(array);
    let mut objects = Vec::new();
    let mut wanted = b'[';
    loop {
        (cursor.peek_token() == Some(wanted)).then_some(())?;
        cursor.at += 1;
        match cursor.peek_token()? {
            b'{' if objects.len() < count_max => objects.push(cursor.value()?),
            _ => return None,
        }
        if cursor.peek_token()? == b']' {
            cursor.at += 1;
            return cursor.peek_token().is_none().then_some(objects);
        }
        wanted = b',';
    }
}

/// A reader of one value after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    json: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(json: &'a str) -> Cursor<'a> {
        Cursor { json, at: 0 }
    }

    /// Enters an object and stops before the value of its first member of this name. Member names are compared unescaped.
    pub(crate) fn enter(&mut self, member: &str) -> Option<()> {
        self.take(b'{')?;
        loop {
            let name = self.value()?;
            self.take(b':')?;
            if is_name(name, member) {
                return Some(());
            }
            self.value()?;
            self.take(b',')?;
        }
    }

    /// Takes one value, whole, as text.
    pub(crate) fn value(&mut self) -> Option<&'a str> {
        let start = self.skip_space();
        let bytes = self.json.as_bytes();
        let mut depth = 0_usize;
        loop {
            match bytes.get(self.at)? {
                b'"' => self.at = string_end(bytes, self.at) + 1,
                b'[' | b'{' => {
                    depth += 1;
                    self.at += 1;
                }
                b']' | b'}' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' if depth > 0 => self.at += 1,
                b',' | b':' => return None,
                _ => self.skip_literal(),
            }
            if depth == 0 {
                return self.json.get(start..self.at);
            }
        }
    }

    /// A number, `true`, `false` or `null`.
    fn skip_literal(&mut self) {
        let rest = &self.json.as_bytes()[self.at..];
        let ends =
            |byte: &u8| matches!(byte, b',' | b':' | b']' | b'}' | b'[' | b'{' | b'"') || byte.is_ascii_whitespace();
        self.at += rest.iter().position(ends).unwrap_or(rest.len()).max(1);
    }

    /// The next byte that is not what JSON takes for space.
    fn peek_token(&mut self) -> Option<u8> {
        let rest = self.json.as_bytes().get(self.at..)?;
        let space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.at += rest.iter().take_while(space).count();
        self.json.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, wanted: u8) -> Option<()> {
        let at = self.skip_space();
        (self.json.as_bytes().get(at) == Some(&wanted)).then(|| self.at += 1)
    }

    fn skip_space(&mut self) -> usize {
        let rest = self.json.as_bytes().get(self.at..).unwrap_or_default();
        self.at += rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.at
    }
}

fn is_name(quoted: &str, wanted: &str) -> bool {
    if quoted.contains('\\') {
        return serde_json::from_str::<String>(quoted).is_ok_and(|name| name == wanted);
    }
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) == Some(wanted)
}
