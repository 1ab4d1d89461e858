//! One JSON text as a flat list of nodes: what a query walks that may look anywhere.
//!
//! Nodes lie in the order of the text, each with the index behind its last descendant, so that a subtree is a range and a sibling
//! is a step. Texts are spans of the document, or of the arena in which escapes were resolved. The memory is reused from event to
//! event, and one tape serves every check that needs it. It knows no paths and no filters.

use crate::document::{DATA, Document};
use crate::json::{self, Expected, Fault, FaultKind, Lexer, Span};
use crate::limits::{JSON_DEPTH_MAX, TEXT_BYTES_MAX};
use crate::scan::{COLON, COMMA_IN_ARRAY, COMMA_IN_OBJECT, FIELD_NAME, VALUE};

/// The index of a node.
pub(crate) type NodeId = u32;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    Text,
    Number,
    True,
    False,
    Null,
}

/// Where some text lies.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    start: u32,
    end: u32,
    /// In the arena, not in the document.
    resolved: bool,
}

#[derive(Debug, Clone)]
struct Node {
    kind: Kind,
    /// The name, if it is a member of an object.
    name: Place,
    /// A string's content, a number's spelling, or the whole of an object or array.
    text: Place,
    /// How many members or elements it has.
    count: u32,
    /// The first node that is not inside it.
    end: NodeId,
}

/// A JSON text at `/data`.
#[derive(Debug, Clone, Copy)]
struct Root {
    /// Which entry of the document it is.
    entry: usize,
    node: NodeId,
    names: Names,
}

/// Which names a text has, roughly: a bit for each, shared by many names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Names(u128);

impl Names {
    /// The same names and one more.
    pub(crate) fn with(self, name: &[u8]) -> Self {
        let hash = name.iter().fold(0x811C_9DC5_u32, |hash, byte| {
            (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
        });
        Self(self.0 | 1 << (hash >> 25))
    }

    /// Whether none of the other names is certainly missing.
    pub(crate) fn may_hold(self, others: Self) -> bool {
        others.0 & !self.0 == 0
    }
}

/// The nodes of a document's data. Built when first asked for.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    nodes: Vec<Node>,
    arena: Vec<u8>,
    roots: Vec<Root>,
    is_built: bool,
}

impl Tape {
    /// Forgets the last document.
    pub(crate) fn clear(&mut self) {
        self.is_built = false;
    }

    /// Reads the document's data, unless that is done already. What is not JSON is absent.
    pub(crate) fn build(&mut self, document: &Document<'_>) {
        if self.is_built {
            return;
        }
        self.is_built = true;
        self.nodes.clear();
        self.arena.clear();
        self.roots.clear();
        for (entry, (mount, content)) in document.entries().iter().enumerate() {
            if *mount != DATA || !content.is_json() {
                continue;
            }
            let (json, object) = (content.bytes(), content.must_be_object());
            let (nodes, arena) = (self.nodes.len(), self.arena.len());
            match self.read(json, object) {
                Ok(names) => self.roots.push(Root {
                    entry,
                    node: position(nodes),
                    names,
                }),
                Err(_) => {
                    self.nodes.truncate(nodes);
                    self.arena.truncate(arena);
                }
            }
        }
    }

    /// The texts of a document for which this tape is built.
    pub(crate) fn trees<'t>(&'t self, document: &'t Document<'_>) -> impl Iterator<Item = Tree<'t>> {
        self.roots.iter().map(|root| Tree {
            nodes: &self.nodes,
            arena: &self.arena,
            text: document.entries()[root.entry].1.bytes(),
            root: root.node,
            names: root.names,
        })
    }

    fn read(&mut self, json: &[u8], object: bool) -> Result<Names, Fault> {
        if json.len() > TEXT_BYTES_MAX {
            return Err(Fault {
                position: TEXT_BYTES_MAX,
                kind: FaultKind::Bound,
            });
        }
        let mut reader = Reader {
            lexer: Lexer::new(json)?,
            tape: self,
            depth: 0,
            names: Names::default(),
        };
        let first = reader.lexer.need()?;
        if object && first != b'{' {
            return Err(reader.lexer.fault(FaultKind::Character(first, Expected::Object)));
        }
        reader.value(Place::default())?;
        match reader.lexer.peek() {
            None => Ok(reader.names),
            Some(byte) => Err(reader.lexer.fault(FaultKind::Character(byte, Expected::End))),
        }
    }
}

/// Texts are bounded to what 32 bits hold, by [`TEXT_BYTES_MAX`].
fn position(value: usize) -> u32 {
    u32::try_from(value).expect("texts are bounded to what 32 bits hold")
}

/// Writes nodes while it reads. Its recursion is bounded by the depth.
struct Reader<'a, 't> {
    lexer: Lexer<'a>,
    tape: &'t mut Tape,
    depth: usize,
    names: Names,
}

impl Reader<'_, '_> {
    fn value(&mut self, name: Place) -> Result<(), Fault> {
        let byte = self.lexer.need()?;
        let start = self.lexer.position;
        match byte {
            b'{' => self.container(Kind::Object, name),
            b'[' => self.container(Kind::Array, name),
            b'"' => {
                let span = self.lexer.string()?;
                let text = self.resolve(span);
                self.push(Kind::Text, name, text);
                Ok(())
            }
            b'-' | b'0'..=b'9' => {
                let range = self.lexer.number()?;
                self.push(Kind::Number, name, self.plain(range.start, range.end));
                Ok(())
            }
            b't' => self.word(b"true", Kind::True, name, start),
            b'f' => self.word(b"false", Kind::False, name, start),
            b'n' => self.word(b"null", Kind::Null, name, start),
            byte => Err(self.lexer.fault(FaultKind::Character(byte, VALUE))),
        }
    }

    fn word(&mut self, word: &'static [u8], kind: Kind, name: Place, start: usize) -> Result<(), Fault> {
        self.lexer.word(word)?;
        self.push(kind, name, self.plain(start, start + word.len()));
        Ok(())
    }

    fn container(&mut self, kind: Kind, name: Place) -> Result<(), Fault> {
        if self.depth == JSON_DEPTH_MAX {
            return Err(self.lexer.fault(FaultKind::Bound));
        }
        let start = self.lexer.position;
        let node = self.push(kind, name, Place::default());
        self.depth += 1;
        self.lexer.position += 1;
        let count = if kind == Kind::Object {
            self.members()?
        } else {
            self.elements()?
        };
        self.depth -= 1;
        let text = self.plain(start, self.lexer.position);
        let end = position(self.tape.nodes.len());
        let node = &mut self.tape.nodes[node];
        (node.text, node.count, node.end) = (text, count, end);
        Ok(())
    }

    fn members(&mut self) -> Result<u32, Fault> {
        let mut count = 0;
        if self.closes(b'}')? {
            return Ok(count);
        }
        loop {
            let byte = self.lexer.need()?;
            if byte != b'"' {
                return Err(self.lexer.fault(FaultKind::Character(byte, FIELD_NAME)));
            }
            let span = self.lexer.string()?;
            self.lexer.expect(b':', COLON)?;
            let name = self.resolve(span);
            let bytes = self.bytes(name);
            self.names = self.names.with(bytes);
            self.value(name)?;
            count += 1;
            if self.closes(b'}')? {
                return Ok(count);
            }
            self.lexer.expect(b',', COMMA_IN_OBJECT)?;
        }
    }

    fn elements(&mut self) -> Result<u32, Fault> {
        let mut count = 0;
        if self.closes(b']')? {
            return Ok(count);
        }
        loop {
            self.value(Place::default())?;
            count += 1;
            if self.closes(b']')? {
                return Ok(count);
            }
            self.lexer.expect(b',', COMMA_IN_ARRAY)?;
        }
    }

    /// Takes a closing bracket if it is next.
    fn closes(&mut self, bracket: u8) -> Result<bool, Fault> {
        let closes = self.lexer.need()? == bracket;
        self.lexer.position += usize::from(closes);
        Ok(closes)
    }

    fn push(&mut self, kind: Kind, name: Place, text: Place) -> usize {
        let node = self.tape.nodes.len();
        self.tape.nodes.push(Node {
            kind,
            name,
            text,
            count: 0,
            end: position(node + 1),
        });
        node
    }

    fn plain(&self, start: usize, end: usize) -> Place {
        Place {
            start: position(start),
            end: position(end),
            resolved: false,
        }
    }

    fn resolve(&mut self, span: Span) -> Place {
        if !span.escaped {
            return self.plain(span.range.start, span.range.end);
        }
        let arena = &mut self.tape.arena;
        let start = position(arena.len());
        json::decode(&self.lexer.bytes()[span.range], arena);
        Place {
            start,
            end: position(arena.len()),
            resolved: true,
        }
    }

    fn bytes(&self, place: Place) -> &[u8] {
        let from = if place.resolved {
            &self.tape.arena
        } else {
            self.lexer.bytes()
        };
        &from[place.start as usize..place.end as usize]
    }
}

/// One JSON text, to be walked.
#[derive(Clone, Copy)]
pub(crate) struct Tree<'t> {
    nodes: &'t [Node],
    arena: &'t [u8],
    text: &'t [u8],
    pub(crate) root: NodeId,
    pub(crate) names: Names,
}

impl<'t> Tree<'t> {
    pub(crate) fn kind(&self, node: NodeId) -> Kind {
        self.nodes[node as usize].kind
    }

    /// A string's content, a number's spelling, or the JSON of anything else.
    pub(crate) fn text(&self, node: NodeId) -> &'t [u8] {
        self.bytes(self.nodes[node as usize].text)
    }

    /// The name of an object's member.
    pub(crate) fn name(&self, node: NodeId) -> &'t [u8] {
        self.bytes(self.nodes[node as usize].name)
    }

    /// How many members or elements a node has.
    pub(crate) fn count(&self, node: NodeId) -> u32 {
        self.nodes[node as usize].count
    }

    /// The first node that is not inside a node.
    pub(crate) fn end(&self, node: NodeId) -> NodeId {
        self.nodes[node as usize].end
    }

    /// How many nodes the text has.
    pub(crate) fn len(&self) -> usize {
        (self.end(self.root) - self.root) as usize
    }

    /// All of its nodes.
    pub(crate) fn nodes(&self) -> std::ops::Range<NodeId> {
        self.root..self.end(self.root)
    }

    /// The members or elements of a node, in order.
    pub(crate) fn children(&self, node: NodeId) -> impl Iterator<Item = NodeId> + use<'t> {
        let (nodes, end) = (self.nodes, self.end(node));
        let mut next = node + 1;
        std::iter::from_fn(move || {
            let child = next;
            (child < end).then(|| {
                next = nodes[child as usize].end;
                child
            })
        })
    }

    fn bytes(&self, place: Place) -> &'t [u8] {
        let from = if place.resolved { self.arena } else { self.text };
        &from[place.start as usize..place.end as usize]
    }
}
