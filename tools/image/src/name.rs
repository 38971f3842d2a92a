//! Function names as a person wants them in a backtrace: `lacuna::pdx::Mask::compress`, no hash, no generic arguments.

use rustc_demangle::demangle;

/// The name of the function that the linker calls `symbol`.
pub fn readable(symbol: &str) -> String {
    plain(&format!("{:#}", demangle(symbol)))
}

/// `name` without generic arguments, and with what stands in angle brackets for a type and its trait told apart:
/// `<Type as Trait>::f` stays, `<Type>::f` becomes `Type::f`, and the older form `module::<impl Trait for Type>::f` becomes
/// `<Type as Trait>::f`.
fn plain(name: &str) -> String {
    let mut result = String::new();
    let mut rest = name;
    while let Some(open) = rest.find('<') {
        let (before, from) = rest.split_at(open);
        let Some(close) = closing(from) else { break };
        let inside = &from[1..close];
        result.push_str(before);
        if let Some(implementation) = inside.strip_prefix("impl ") {
            // The path before it is where the block was written, which the type says as well.
            result.clear();
            match split_outside(implementation, " for ") {
                Some((of, on)) => result.push_str(&format!("<{} as {}>", plain(on), plain(of))),
                None => result.push_str(&plain(implementation)),
            }
        } else if result.ends_with(|last: char| last.is_alphanumeric() || "_:".contains(last)) {
            // Generic arguments.
            result.truncate(result.trim_end_matches("::").len());
        } else if let Some((on, of)) = split_outside(inside, " as ") {
            result.push_str(&format!("<{} as {}>", plain(on), plain(of)));
        } else {
            result.push_str(&plain(inside));
        }
        rest = &from[close + 1..];
    }
    result + rest
}

/// Where the angle bracket that opens `text` is closed; the arrow of a function type closes nothing.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    let mut last = ' ';
    for (at, character) in text.char_indices() {
        match character {
            '<' => depth += 1,
            '>' if last != '-' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
        last = character;
    }
    None
}

/// `text` before and after the first `separator` that is in no angle brackets.
fn split_outside<'a>(text: &'a str, separator: &str) -> Option<(&'a str, &'a str)> {
    let mut from = 0;
    while let Some(found) = text[from..].find(separator) {
        let at = from + found;
        match text[from..at].find('<').map(|open| from + open) {
            Some(open) => from = open + closing(&text[open..])? + 1,
            None => return Some((&text[..at], &text[at + separator.len()..])),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{plain, readable};
    use proptest::prelude::proptest;

    #[test]
    fn mangled_names_of_both_schemes_are_readable() {
        assert_eq!(
            readable("_RNvNvMsa_NtCs3g5Gb6bJpu0_4core3fmtNtB7_9Formatter12pad_integral12write_prefix"),
            "core::fmt::Formatter::pad_integral::write_prefix"
        );
        assert_eq!(
            readable("_ZN50_$LT$t..W$LT$T$GT$$u20$as$u20$core..fmt..Write$GT$9write_str17h2daa34d109d80582E"),
            "<t::W as core::fmt::Write>::write_str"
        );
        assert_eq!(readable("exception_entry"), "exception_entry");
    }

    #[test]
    fn generic_arguments_go_and_types_stay() {
        assert_eq!(plain("core::slice::sort::<u8, fn(&u8) -> bool>"), "core::slice::sort");
        assert_eq!(plain("<alloc::vec::Vec<T, A>>::push"), "alloc::vec::Vec::push");
        assert_eq!(plain("<[T]>::reverse::<U>::{closure#0}"), "[T]::reverse::{closure#0}");
        assert_eq!(plain("<a::B<<C as D>::E> as e::F<G>>::h::<I>"), "<a::B as e::F>::h");
    }

    #[test]
    fn an_impl_block_is_named_by_its_type_and_trait() {
        assert_eq!(plain("core::fmt::num::<impl core::fmt::Display for u32>::fmt"), "<u32 as core::fmt::Display>::fmt");
        assert_eq!(plain("core::num::<impl u64>::pow"), "u64::pow");
    }

    proptest! {
        #[test]
        fn no_name_however_odd_makes_it_panic(name in "[a-z:<> ]{0,30}(impl | for | as )?[<>a-z:é-]{0,20}") {
            let _ = plain(&name);
        }
    }
}
