//! Go's `Sprintf`: the format is read once, each verb takes its argument. What a verb cannot show
//! is said in Go's words. Never fails but for lack of room.

use super::out::{Out, Written};
use super::print;
use super::value::Value;
use super::verb::{self, Spec};

/// Widths and precisions above this are refused, as in Go.
const MOST_WIDTH: usize = 1_000_000;

struct Printer<'p, 'v> {
    format: &'p [u8],
    arguments: &'p [Value<'v>],
    next: usize,
    /// An argument was named by its number, so that none can be said to be left over.
    reordered: bool,
}

/// Writes the arguments as the format says.
pub(super) fn sprintf(out: &mut Out<'_>, format: &[u8], arguments: &[Value<'_>]) -> Written {
    let mut printer = Printer { format, arguments, next: 0, reordered: false };
    while !printer.format.is_empty() {
        let text = memchr::memchr(b'%', printer.format).unwrap_or(printer.format.len());
        let (plain, rest) = printer.format.split_at_checked(text).unwrap_or_default();
        out.push(plain)?;
        if let Some(rest) = rest.get(1..) {
            printer.format = rest;
            printer.verb(out)?;
        } else {
            printer.format = rest;
        }
    }
    let left = arguments.get(printer.next..).unwrap_or_default();
    if printer.reordered || left.is_empty() {
        return Ok(());
    }
    out.push(b"%!(EXTRA ")?;
    for (place, value) in left.iter().enumerate() {
        out.push(if place > 0 { b", " } else { b"" })?;
        verb::typed(out, value)?;
    }
    out.push(b")")
}

impl<'v> Printer<'_, 'v> {
    fn verb(&mut self, out: &mut Out<'_>) -> Written {
        let mut spec = Spec::default();
        while let Some(flag) = self.format.first() {
            match flag {
                b'+' => spec.plus = true,
                b'-' => spec.minus = true,
                b'#' => spec.sharp = true,
                b' ' => spec.space = true,
                b'0' => spec.zero = true,
                _ => break,
            }
            self.skip(1);
        }
        let mut index_is_good = self.index();
        spec.width = match self.size() {
            Size::None => None,
            Size::Some(width) => Some(width),
            Size::Negative(width) => {
                spec.minus = true;
                Some(width)
            }
            Size::Bad => {
                out.push(b"%!(BADWIDTH)")?;
                None
            }
        };
        if self.format.first() == Some(&b'.') {
            self.skip(1);
            index_is_good &= self.index();
            spec.precision = match self.size() {
                Size::None => Some(0),
                Size::Some(precision) => Some(precision),
                Size::Negative(_) => None,
                Size::Bad => {
                    out.push(b"%!(BADPREC)")?;
                    None
                }
            };
        }
        index_is_good &= self.index();
        let Some(verb) = self.take_char() else { return out.push(b"%!(NOVERB)") };
        spec.verb = verb;
        if verb == '%' {
            return out.push(b"%");
        }
        if !index_is_good {
            return bad(out, verb, "(BADINDEX)");
        }
        match self.argument() {
            Some(value) => argument(out, &value, spec),
            None => bad(out, verb, "(MISSING)"),
        }
    }

    fn skip(&mut self, bytes: usize) {
        self.format = self.format.get(bytes..).unwrap_or_default();
    }

    fn argument(&mut self) -> Option<Value<'v>> {
        let value = self.arguments.get(self.next).cloned()?;
        self.next += 1;
        Some(value)
    }

    // `[2]`; false if there is no such argument.
    fn index(&mut self) -> bool {
        let Some(inside) = self.format.strip_prefix(b"[") else { return true };
        self.reordered = true;
        let end = inside.iter().position(|byte| *byte == b']');
        let (number, rest) = match end.and_then(|end| inside.split_at_checked(end)) {
            Some((number, rest)) => (number, rest.get(1..).unwrap_or_default()),
            None => ([].as_slice(), inside),
        };
        self.format = rest;
        let number = std::str::from_utf8(number).ok().and_then(|text| text.parse::<usize>().ok());
        let place = number.and_then(|number| number.checked_sub(1));
        match place.filter(|place| *place < self.arguments.len()) {
            Some(place) => {
                self.next = place;
                true
            }
            None => false,
        }
    }

    // Digits or `*`.
    fn size(&mut self) -> Size {
        if self.format.first() == Some(&b'*') {
            self.skip(1);
            let Some(Value::Int(size)) = self.argument() else { return Size::Bad };
            return match usize::try_from(size.unsigned_abs()) {
                Ok(width) if width > MOST_WIDTH => Size::Bad,
                Ok(width) if size < 0 => Size::Negative(width),
                Ok(width) => Size::Some(width),
                Err(_) => Size::Bad,
            };
        }
        let digits = self.format.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Size::None;
        }
        let text = self.format.get(..digits).unwrap_or_default();
        self.skip(digits);
        let size = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
        size.filter(|size| *size <= MOST_WIDTH).map_or(Size::Bad, Size::Some)
    }

    // What is no UTF-8 counts as U+FFFD.
    fn take_char(&mut self) -> Option<char> {
        let chunk = self.format.utf8_chunks().next()?;
        let c = chunk.valid().chars().next();
        self.skip(c.map_or(chunk.invalid().len(), char::len_utf8));
        Some(c.unwrap_or(char::REPLACEMENT_CHARACTER))
    }
}

enum Size {
    None,
    Some(usize),
    Negative(usize),
    Bad,
}

fn bad(out: &mut Out<'_>, verb: char, why: &str) -> Written {
    out.push(b"%!")?;
    out.push_char(verb)?;
    out.push(why.as_bytes())
}

fn argument(out: &mut Out<'_>, value: &Value<'_>, spec: Spec) -> Written {
    if spec.verb == 'T' {
        return verb::text(out, value.type_name().as_bytes(), Spec { verb: 's', ..spec });
    }
    let names = spec.plus || spec.sharp;
    // `%+v` asks for names, not for signs.
    let spec = Spec { plus: spec.plus && spec.verb != 'v', ..spec };
    print::walk(out, value, names, &mut |out, leaf| verb::write(out, leaf, spec))
}
