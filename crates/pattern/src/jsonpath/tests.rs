//! The language section by section of RFC 9535, in cases of our own: what is selected, what is not, what is refused and where.

use crate::document::Document;
use crate::explain::explain;
use crate::fields::Scratch;
use crate::filter::Filter;
use crate::{CompileCode, CompileError, Data};

fn query(text: &str) -> Filter {
    Filter::jsonpath(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Checks whether a query selects something of a text, alone and explained.
fn check(text: &str, json: &str, expected: bool) {
    let (filter, document) = (query(text), Document::new().data(Data::Json(json.as_bytes())));
    let mut scratch = Scratch::new();
    assert_eq!(filter.matches_with(&document, &mut scratch), expected, "{text} {json}");
    // Once more, with used memory.
    assert_eq!(filter.matches_with(&document, &mut scratch), expected, "{text} {json}");
    let explanation = explain(&filter, &document);
    assert_eq!(explanation.matched, expected, "{text} {json}");
    assert_eq!(explanation.first_reason().is_none(), expected, "{text} {json}");
}

fn selects(json: &str, queries: &[&str]) {
    queries.iter().for_each(|text| check(text, json, true));
}

fn selects_nothing(json: &str, queries: &[&str]) {
    queries.iter().for_each(|text| check(text, json, false));
}

/// Checks how many nodes a query selects, by `count`.
fn selects_so_many(text: &str, json: &str, count: usize) {
    let counted = format!("$[?count({}) == {count}]", text.replacen('$', "@", 1));
    check(&counted, &format!("[{json}]"), true);
}

fn refused(text: &str) -> CompileError {
    match Filter::jsonpath(text) {
        Ok(_) => panic!("{text} is taken"),
        Err(error) => error,
    }
}

#[test]
fn the_root_is_selected_whatever_it_is() {
    for json in ["null", "0", "\"\"", "[]", "{}", " [ 1 ] "] {
        check("$", json, true);
    }
    assert!(!query("$").matches(&Document::new()));
    assert!(!query("$").matches(&Document::new().data(Data::Json(b"{"))));
    assert!(!query("$").matches(&Document::bare(b"[1]")));
    assert!(query("$").matches(&Document::bare(b"{}")));
}

#[test]
fn names_select_members() {
    let json = r#"{"a": {"b c": [], "é": null, "_x9": 1, "": 2}, "a.b": 3, "'": 4, "\"": 5, "\n": 6, "😀": 7}"#;
    selects(
        json,
        &[
            "$.a",
            "$['a']",
            "$[\"a\"]",
            "$.a['b c']",
            "$.a.é",
            "$.a._x9",
            "$.a['']",
            "$['a.b']",
            r#"$["'"]"#,
            r#"$['\'']"#,
            r#"$['"']"#,
            r#"$["\""]"#,
            r#"$['\n']"#,
            r#"$['\u000a']"#,
            r#"$['\u000A']"#,
            "$['😀']",
            "$.😀",
            r#"$['\ud83d\uDE00']"#,
            r#"$['\u0061']"#,
            "$ .a",
            "$\n['a']",
            "$[ 'a'\t]",
        ],
    );
    selects_nothing(
        json,
        &[
            "$.b",
            "$.a.b",
            "$.a.a",
            "$.A",
            "$['a','b'].c",
            "$.a._x9.x",
            r#"$['e\u0301']"#,
        ],
    );
    selects_nothing(r#"["a"]"#, &["$.a", "$['0']", "$.length"]);
}

#[test]
fn wildcards_select_every_child() {
    selects_so_many("$.*", r#"{"a": 1, "b": [2, 3]}"#, 2);
    selects_so_many("$[*]", "[1, [2, 3]]", 2);
    selects_so_many("$.*[*]", r#"{"a": 1, "b": [2, 3]}"#, 2);
    selects_so_many("$[*, *]", "[1, [2, 3]]", 4);
    for json in ["{}", "[]", "1", "\"text\"", "null"] {
        check("$.*", json, false);
        check("$..*", json, false);
    }
}

#[test]
fn indexes_count_from_either_end() {
    let json = r#"["a", "b", {"c": 1}]"#;
    selects(json, &["$[0]", "$[2]", "$[-1].c", "$[-3]", "$[2]['c']", "$[9, 1]"]);
    selects_nothing(
        json,
        &[
            "$[3]",
            "$[-4]",
            "$[0][0]",
            "$[9007199254740991]",
            "$[-9007199254740991]",
        ],
    );
    selects_nothing(r#"{"0": 1}"#, &["$[0]", "$[-1]"]);
}

#[test]
fn slices_select_as_the_specification_computes_them() {
    let json = r#"["a","b","c","d","e","f","g"]"#;
    for (slice, selected) in [
        ("1:3", "bc"),
        ("5:", "fg"),
        ("1:5:2", "bd"),
        ("5:1:-2", "fd"),
        ("::-1", "abcdefg"),
        (":", "abcdefg"),
        ("::", "abcdefg"),
        ("::2", "aceg"),
        ("-2:", "fg"),
        (":-5", "ab"),
        ("-100:2", "ab"),
        ("2:-100", ""),
        ("100:", ""),
        ("3:3", ""),
        ("::0", ""),
        ("1:3:0", ""),
        ("-1:-4:-1", "efg"),
        ("100:4:-1", "fg"),
        ("2::-1", "abc"),
        (":2:-1", "defg"),
        ("0:100:3", "adg"),
        ("6:0:-3", "dg"),
        (" 1 : 3 : 1 ", "bc"),
        ("-3:-1", "ef"),
        ("-1::-9", "g"),
        ("0:0:-1", ""),
        ("-7:-8:-1", "a"),
    ] {
        selects_so_many(&format!("$[{slice}]"), json, selected.len());
        for letter in "abcdefg".chars() {
            let text = format!("$[?count(@[{slice}][?@ == '{letter}']) == 1]");
            // Each letter in an array of its own, so that a filter can look at it.
            let each: Vec<String> = "abcdefg".chars().map(|letter| format!("[\"{letter}\"]")).collect();
            check(&text, &format!("[[{}]]", each.join(",")), selected.contains(letter));
        }
    }
    selects_nothing(r#"{"a": 1}"#, &["$[0:1]", "$[:]"]);
}

#[test]
fn descendants_are_the_node_and_everything_inside_it() {
    let json = r#"{"o": {"j": 1, "k": 2}, "a": [5, 3, [{"j": 4}, {"k": 6}]]}"#;
    selects_so_many("$..j", json, 2);
    selects_so_many("$..[0]", json, 2);
    selects_so_many("$..*", json, 11);
    selects_so_many("$..[*]", json, 11);
    selects_so_many("$..o", json, 1);
    selects_so_many("$.a..[0, 1]", json, 4);
    selects_so_many("$..['j', 'k']", json, 4);
    // Nodes that lie in several selected nodes are selected repeatedly.
    selects_so_many("$..*..*", "[[[1]]]", 3);
    selects_so_many("$..[*]..[*]", r#"{"a": {"b": {"c": {"d": 0}}}}"#, 6);
    selects(json, &["$..[2][1].k", "$.a..k", "$ ..j"]);
    selects_nothing(json, &["$..x", "$.o..[0]", "$..j..j"]);
}

#[test]
fn unions_select_what_each_selector_does() {
    selects_so_many("$[0, 3]", "[0, 1, 2, 3]", 2);
    selects_so_many("$[0, 0]", "[0, 1]", 2);
    selects_so_many("$[0:2, 5]", "[0, 1, 2, 3, 4, 5]", 3);
    selects_so_many("$['a', 'b', 0, 1:, *]", r#"{"a": 1, "c": 2}"#, 3);
    selects_so_many("$[?@ == 1, ?@ > 0]", "[1, 2, 0]", 3);
}

#[test]
fn filters_ask_for_existence() {
    let json = r#"{"a": [{"b": null}, {"c": {"d": []}}, 3]}"#;
    selects(
        json,
        &[
            "$.a[?@.b]",
            "$.a[?@.c.d]",
            "$.a[?!@.b]",
            "$.a[?@.b || @.x]",
            "$.a[?@.b && !@.c]",
            "$.a[?(@.b)]",
            "$[?@[?@.b]]",
            "$.a[?@..d]",
            "$.a[?$.a]",
            "$.a[? ( ! ( @.x ) ) && @.c ]",
            "$.*[?@.b]",
            "$..[?@.d]",
            "$.a[?@]",
            "$.a[?@.*]",
        ],
    );
    selects_nothing(
        json,
        &[
            "$.a[?@.x]",
            "$.a[?@.b.x]",
            "$.a[?$.x]",
            "$.a[?@.b && @.c]",
            "$.a[2][?@]",
            "$.a[?!@]",
            "$.x[?@]",
        ],
    );
    // `&&` binds stronger than `||`, and `!` strongest.
    check("$[?@.a || @.b && @.c]", r#"[{"a": 1}]"#, true);
    check("$[?(@.a || @.b) && @.c]", r#"[{"a": 1}]"#, false);
    check("$[?!@.a && @.b]", r#"[{"b": 1}]"#, true);
    check("$[?!(@.a && @.b)]", r#"[{"b": 1}]"#, true);
}

#[test]
fn filters_look_into_members_of_objects_as_well() {
    selects(r#"{"x": {"k": 1}, "y": 2}"#, &["$[?@.k == 1]", "$[?@ == 2]"]);
    selects_nothing("\"text\"", &["$[?@]", "$[?1 == 1]"]);
}

#[test]
fn comparisons_are_those_of_the_specification() {
    let json = r#"{"obj": {"x": "y"}, "arr": [2, 3], "same": {"x": "y"}}"#;
    let holds = |comparison: &str, expected: bool| check(&format!("$[?{comparison}]"), json, expected);
    for (comparison, expected) in [
        ("$.absent1 == $.absent2", true),
        ("$.absent1 <= $.absent2", true),
        ("$.absent == 'g'", false),
        ("$.absent1 != $.absent2", false),
        ("$.absent != 'g'", true),
        ("1 <= 2", true),
        ("1 > 2", false),
        ("13 == '13'", false),
        ("'a' <= 'b'", true),
        ("'a' > 'b'", false),
        ("$.obj == $.arr", false),
        ("$.obj != $.arr", true),
        ("$.obj == $.same", true),
        ("$.obj == $.obj", true),
        ("$.obj != $.obj", false),
        ("$.arr == $.arr", true),
        ("$.obj == 17", false),
        ("$.obj != 17", true),
        ("$.obj <= $.arr", false),
        ("$.obj < $.arr", false),
        ("$.obj <= $.obj", true),
        ("$.arr <= $.arr", true),
        ("1 <= $.arr", false),
        ("1 >= $.arr", false),
        ("1 > $.arr", false),
        ("1 < $.arr", false),
        ("true <= true", true),
        ("true > true", false),
        ("true < false", false),
        ("null == null", true),
        ("null <= null", true),
        ("null < null", false),
        ("null == false", false),
        ("null == 0", false),
        ("null == $.absent", false),
        ("'' == null", false),
        ("'a' == \"a\"", true),
        ("'a' < 'A'", false),
        ("'a' < 'ab'", true),
        ("'' < 'a'", true),
        ("'Z' < 'a'", true),
        ("'\u{ffff}' < '😀'", true),
        ("'e\u{301}' == 'é'", false),
        (r"'\u00e9' == 'é'", true),
        ("'10' < '9'", true),
        ("$ == $", true),
        ("$.obj.x == 'y'", true),
        ("'y' == $['obj']['x']", true),
        ("$.arr[-1] == 3", true),
        ("1 == 1.0", true),
        ("1e2 == 100", true),
        ("1E+2 == 100", true),
        ("-0 == 0", true),
        ("0.1 == 1e-1", true),
        ("-1 < 0", true),
        ("9007199254740993 == 9007199254740992", false),
        ("9007199254740993 > 9007199254740992", true),
        ("1e400 > 1e399", true),
        ("1e-400 > 0", true),
        ("2 > 10", false),
        ("-2 > -10", true),
        ("1.5 >= 1.5", true),
    ] {
        holds(comparison, expected);
    }
}

#[test]
fn structures_are_compared_deeply() {
    let equal = |left: &str, right: &str, expected: bool| {
        check(
            "$[?$.l == $.r]",
            &format!("{{\"l\": {left}, \"r\": {right}}}"),
            expected,
        );
    };
    equal("[1, [2, {\"a\": null}]]", "[1.0, [2e0, {\"a\": null}]]", true);
    equal("[1, 2]", "[2, 1]", false);
    equal("[1, 2]", "[1]", false);
    equal("[]", "{}", false);
    equal("{}", "{}", true);
    equal(
        r#"{"a": 1, "b": [2], "c": "x"}"#,
        r#"{"c": "x", "a": 1, "b": [2]}"#,
        true,
    );
    equal(r#"{"a": 1, "b": 2}"#, r#"{"a": 1, "c": 2}"#, false);
    equal(r#"{"a": 1}"#, r#"{"a": 1, "b": 1}"#, false);
    equal(r#"{"\u0061": "\u0062"}"#, r#"{"a": "b"}"#, true);
    equal("[true, null]", "[true, false]", false);
}

#[test]
fn the_length_is_of_characters_elements_or_members() {
    selects(
        r#"{"t": "aé😀\u0000", "l": [1, 2], "o": {"a": 1, "b": 2, "c": 3}, "n": 5, "e": ""}"#,
        &[
            "$[?length($.t) == 4]",
            "$[?length($.l) == 2]",
            "$[?length($.o) == 3]",
            "$[?length($.e) == 0]",
            "$[?length($.n) == $.absent]",
            "$[?length(true) == $.absent]",
            "$[?length('abc') >= 3.0]",
            "$[?length(value($..t)) == 4]",
            "$[?length(@) < length($.t)]",
            "$[?length( @ ) == 2 ]",
        ],
    );
}

#[test]
fn counts_and_only_values_see_what_is_selected_repeatedly() {
    let json = r#"[{"a": [1, 2, 2], "b": {"c": 7}}]"#;
    selects(
        json,
        &[
            "$[?count(@.*) == 2]",
            "$[?count(@.a[*]) == 3]",
            "$[?count(@.x) == 0]",
            "$[?count(@.a[0, 0]) == 2]",
            "$[?count(@) == 1]",
            "$[?value(@..c) == 7]",
            "$[?value(@.b.c) == 7]",
            "$[?value(@.a[*]) == $.x]",
            "$[?value(@.a[0, 0]) == $.x]",
            "$[?count($..*) > count(@..*)]",
            "$[?count(@..[*]) == 6]",
        ],
    );
    selects_nothing(json, &["$[?value(@.*) == 1]", "$[?count(@.a) == 3]"]);
}

#[test]
fn texts_match_regular_expressions() {
    let json = r#"[{"t": "abc", "p": "a.c", "bad": "(", "perl": "\\w+", "and": "[a&&b]", "sign": "&"}]"#;
    selects(
        json,
        &[
            "$[?match(@.t, 'a.c')]",
            "$[?search(@.t, 'b')]",
            "$[?match(@.t, @.p)]",
            "$[?search(@.t, $[0].p)]",
            "$[?!match(@.t, 'b')]",
            "$[?!match(@.x, '.*')]",
            "$[?!search(1, '1')]",
            r"$[?search(@.t, '\\p{L}{3}')]",
            "$[?match('é', '.')]",
            "$[?match(@.t, '[a-c]+')]",
            "$[?!match(@.t, @.bad)]",
            "$[?!match(@.t, @.perl)]",
            "$[?match(@.sign, @.and)]",
            "$[?match(@.sign, '[a~~&&]')]",
            "$[?match(value(@.t), 'abc')]",
            "$[?match(@.t, @.p) && match('axc', @.p)]",
        ],
    );
    selects_nothing(
        json,
        &[
            "$[?match(@.t, 'b')]",
            "$[?search(@.t, 'x')]",
            "$[?search(@.t, @.bad)]",
            "$[?match(@.t, 5 )]",
            "$[?match(@, 'abc')]",
        ],
    );
}

#[test]
fn invalid_queries_are_refused_where_they_are_wrong() {
    for (text, position) in [
        ("", 0),
        ("a", 0),
        (" $", 0),
        ("$ ", 1),
        ("$.", 2),
        ("$..", 3),
        ("$. a", 2),
        ("$...a", 3),
        ("$.1", 2),
        ("$.-a", 2),
        ("$.'a'", 2),
        ("$.a b", 3),
        ("$a", 1),
        ("$[", 2),
        ("$[]", 2),
        ("$[a]", 2),
        ("$['a'", 5),
        ("$['a' 'b']", 6),
        ("$['a',]", 6),
        ("$[,1]", 2),
        ("$['a]", 2),
        (r"$['\x']", 3),
        (r#"$["\'"]"#, 3),
        (r#"$['\"']"#, 3),
        (r"$['\u12']", 3),
        (r"$['\ud800']", 3),
        (r"$['\ud800\u0041']", 3),
        (r"$['\udc00']", 3),
        ("$['\n']", 3),
        ("$['\u{1f}']", 3),
        ("$[01]", 2),
        ("$[-0]", 2),
        ("$[-]", 3),
        ("$[1.0]", 3),
        ("$[1e1]", 3),
        ("$[+1]", 2),
        ("$[9007199254740992]", 2),
        ("$[-9007199254740992]", 2),
        ("$[99999999999999999999]", 2),
        ("$[1:2:3:4]", 7),
        ("$[1:02]", 4),
        ("$[::-0]", 4),
        ("$[?]", 3),
        ("$[?@.a =~ 'x']", 7),
        ("$[?@.a = 1]", 7),
        ("$[?@.a === 1]", 9),
        ("$[?'a']", 6),
        ("$[?1]", 4),
        ("$[?true]", 7),
        ("$[?@.a == ]", 10),
        ("$[?@.a == b]", 10),
        ("$[?@.a == True]", 10),
        ("$[?@.a && ]", 10),
        ("$[?@.a & @.b]", 7),
        ("$[?(@.a]", 7),
        ("$[?()]", 4),
        ("$[?!@.a == 1]", 8),
        ("$[?!!@.a]", 4),
        ("$[?@.a == 01]", 10),
        ("$[?@.a == 1.]", 10),
        ("$[?@.a == .5]", 10),
        ("$[?@.a == +1]", 10),
        ("$[?@.a == 1e]", 10),
        ("$[?@.a == [1]]", 10),
        ("$[?@.* == 1]", 3),
        ("$[?@..a == 1]", 3),
        ("$[?@[0:1] == 1]", 3),
        ("$[?1 == @['a','b']]", 8),
        ("$[?@[?@.a] == 1]", 3),
        ("$[?(@.a) == 1]", 9),
        ("$[?(@.a == 1) == true]", 14),
        ("$[?@.a == !@.b]", 10),
        ("$[?length(@)]", 12),
        ("$[?count(@.*)]", 13),
        ("$[?length(@.*) > 1]", 10),
        ("$[?count(1) > 1]", 9),
        ("$[?count() > 1]", 3),
        ("$[?count(@, @) > 1]", 3),
        ("$[?value('a') == 1]", 9),
        ("$[?match(@.a)]", 3),
        ("$[?match(@.a, 'b') == true]", 3),
        ("$[?match(@.*, 'b')]", 9),
        ("$[?match(@.a, '(')]", 14),
        ("$[?foo(@)]", 3),
        ("$[?length (@) == 1]", 3),
        ("$[?LENGTH(@) == 1]", 3),
        ("$[?length(@.a == 1) == 1]", 14),
        ("$[?length(match(@.a, 'b')) == 1]", 10),
        ("$[?@.a == 'b' ||]", 16),
        ("$[?@ .a ==1]x", 12),
        ("$[?@.a,]", 7),
        ("$.a[?$.b ==]", 11),
        ("$[?@.a @.b]", 7),
        ("@.a", 0),
        ("$['a'][?]", 8),
        ("$.a.", 4),
        ("$.a[0", 5),
    ] {
        let error = refused(text);
        assert_eq!(
            (error.code, error.position),
            (CompileCode::BadPattern, position),
            "{text}: {error}"
        );
    }
}

#[test]
fn refusals_say_what_would_be_right() {
    let suggestion = |text: &str| refused(text).suggestion.unwrap_or_default();
    assert_eq!(suggestion(".a"), "write $.a");
    assert_eq!(suggestion("@.a"), "write $.a");
    assert_eq!(suggestion("$[?lenght(@) == 1]"), "did you mean length()?");
    assert!(refused("$[?@.a =~ 'x']").message.contains("search()"));
    assert!(refused("$[?@.a = 1]").message.contains("write =="));
}

#[test]
fn blanks_may_stand_where_the_grammar_has_them() {
    selects(
        r#"{"a": [{"b": 1, "c": "x"}]}"#,
        &[
            "$ .a [ 0 ] .b",
            "$\t[\n'a'\r, 'b' ]",
            "$.a[?@.b==1]",
            "$.a[? @.b\n== 1 ]",
            "$.a[?(@.b==1)||@.x]",
            "$.a[?@ ['b'] == 1]",
            "$.a[?count( @.* )==2]",
            "$.a[?match( @.c , 'x' )]",
            "$.a [0:1 ]",
            "$.a[? ! @.x]",
        ],
    );
}

#[test]
fn bounds_are_refused_as_too_complex() {
    let deep = format!("$[?{}@.a{}]", "(".repeat(40), ")".repeat(40));
    let nested = format!("${}{}", "[?@".repeat(40), "]".repeat(40));
    let long = format!("${}", ".abcdefgh".repeat(500));
    for text in [
        deep,
        nested,
        long,
        format!("$[?{}(@){}>1]", "length(".repeat(30), ")".repeat(30)),
    ] {
        assert_eq!(refused(&text).code, CompileCode::TooComplex, "{text}");
    }
}

#[test]
fn duplicate_names_are_all_seen() {
    selects(r#"{"a": 1, "a": {"b": 2}}"#, &["$.a.b", "$.a", "$[?@.b]", "$..b"]);
}

#[test]
fn an_explanation_shows_what_was_selected_or_where_nothing_was_left() {
    let explained = |text: &str, json: &str| explain(&query(text), &Document::new().data(Data::Json(json.as_bytes())));
    let explanation = explained("$.a[*].b", r#"{"a": [{"b": "x\ny"}, {"b": {"c": 1}}]}"#);
    assert_eq!(explanation.root.seen, [r#""x\ny""#, r#"{"c": 1}"#]);
    let reason = |text: &str, json: &str| explained(text, json).first_reason().unwrap();
    assert_eq!(
        reason("$.a[*] [?@.x > 1] .c", r#"{"a": [{"b": 1}, {"b": 2}]}"#),
        "$.a[*] [?@.x > 1] .c selects nothing: [?@.x > 1] selects nothing of all of the nodes before it (2)"
    );
    assert_eq!(
        reason("$.x.y", r#"{"a": 1}"#),
        "$.x.y selects nothing: .x selects nothing of the only node before it (1)"
    );
    assert_eq!(
        explain(&query("$.a"), &Document::new()).first_reason().unwrap(),
        "$.a selects nothing: there is no JSON data"
    );
}

#[test]
fn queries_that_search_again_and_again_stop() {
    let list = format!("[{}]", vec!["[1,2,3]"; 5_000].join(","));
    let document = Document::new().data(Data::Json(list.as_bytes()));
    let mut scratch = Scratch::new();
    for bomb in [
        "$..[?@..[?@..[?@..[?@ == 4]]]]",
        "$[?count($[?count($..*) < count(@..*)]) == 77]",
        "$..[?$[?@[0] == 9 && $[?@[1] == 9]]]",
        "$[?$[?$[?@ == @.x && @ == 2] || @ == 5]]",
    ] {
        let filter = query(bomb);
        assert!(!filter.matches_with(&document, &mut scratch), "{bomb}");
    }
    let square = query("$[?count($[?@ == 4]) == count(@..*)][?@ == 4]");
    assert!(!square.matches_with(&document, &mut scratch));
    let wide = format!("$..[{}]", vec!["*"; 2_000].join(","));
    assert!(query(&wide).matches_with(&document, &mut scratch));
    let wide = format!("$[?count(@..[{}]) == 1]", vec!["*"; 1_900].join(","));
    assert!(!query(&wide).matches_with(&document, &mut scratch));
}

#[test]
fn a_query_past_its_steps_selects_nothing_and_says_so() {
    let deep = format!("{}{}", "[1,2,3,4,5,6,7,8,[".repeat(60), "]]".repeat(60));
    let document = Document::new().data(Data::Json(deep.as_bytes()));
    // Its negation selects nothing either.
    let explanation = explain(&query("$[8][?!(@..[?@..[?@..[?@..[?@ == 9]]]])]"), &document);
    assert!(!explanation.matched);
    let reason = explanation.first_reason().unwrap_or_default();
    assert!(reason.contains("takes too many steps"), "{reason}");
}
