//! The only sequences a painter may write to a person's terminal.

const PRIVATE: &[&str] =
    &["1", "7", "25", "1000", "1002", "1003", "1004", "1005", "1006", "1007", "1049", "2004", "2026"];

/// Walks through the output and says what is wrong with it.
pub(crate) fn check(output: &[u8], starting: bool) -> Result<(), String> {
    let text = std::str::from_utf8(output).map_err(|error| error.to_string())?;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = match c {
            '\n' | '\r' => after,
            '\x1b' => escape(after, starting)?,
            c if c.is_control() => return Err(format!("control character {c:?}")),
            _ => after,
        };
    }
    Ok(())
}

fn escape(rest: &str, starting: bool) -> Result<&str, String> {
    let end = |prefix: &str, rest: &str| format!("{prefix}{:?}", rest.chars().take(20).collect::<String>());
    if let Some(rest) = rest.strip_prefix(['=', '>']) {
        return Ok(rest);
    }
    if let Some(rest) = rest.strip_prefix("]8;;") {
        let (link, after) = rest.split_once("\x1b\\").ok_or("an open link")?;
        let clean = link.is_empty() || (link.starts_with("http") && link.bytes().all(|byte| byte.is_ascii_graphic()));
        return if clean { Ok(after) } else { Err(format!("link {link:?}")) };
    }
    if let Some(rest) = rest.strip_prefix("]2;") {
        let (title, after) = rest.split_once("\x1b\\").ok_or("an open title")?;
        let clean = title.chars().count() <= 256 && !title.chars().any(char::is_control);
        return if clean { Ok(after) } else { Err(format!("title {title:?}")) };
    }
    let Some(body) = rest.strip_prefix('[') else { return Err(end("escape ", rest)) };
    let last = body.find(|c: char| ('@'..='~').contains(&c)).ok_or("an open sequence")?;
    let (arguments, after) = body.split_at(last);
    let (last, after) = after.split_at(1);
    let numbers = |text: &str, separators: &[char]| {
        text.split(separators).all(|number| number.is_empty() || number.parse::<u16>().is_ok())
    };
    let fine = match last {
        "H" => numbers(arguments, &[';']),
        "G" => numbers(arguments, &[]) && !arguments.is_empty(),
        "K" => arguments.is_empty(),
        "X" => ["1", "2", "3"].contains(&arguments),
        "n" => arguments == "6",
        "u" => match arguments.split_at_checked(1) {
            Some(("<", rest)) => rest.is_empty(),
            Some((">" | "=", rest)) => rest.parse::<u8>().is_ok_and(|flags| flags < 32),
            Some(_) | None => false,
        },
        "m" => numbers(arguments, &[';', ':']),
        "q" => arguments.len() == 2 && arguments.ends_with(' ') && numbers(&arguments[..1], &[]),
        "h" | "l" => arguments.strip_prefix('?').is_some_and(|mode| PRIVATE.contains(&mode)),
        "t" => arguments == "22;2" || arguments == "23;2",
        "r" => starting && arguments.is_empty(),
        _ => false,
    };
    if fine { Ok(after) } else { Err(end("sequence ", rest)) }
}
