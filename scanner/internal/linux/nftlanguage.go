package linux

import (
	"slices"
	"strings"
)

// nftTokens takes a text apart: words, strings (with their quotes), the marks
// { } ; , and line ends, which end a statement like a semicolon does. # begins a
// comment, and a backslash before a line's end joins lines.
func nftTokens(text string) []string {
	var list []string
	start := -1
	end := func(i int) {
		if start >= 0 {
			list = append(list, text[start:i])
			start = -1
		}
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '#':
			end(i)
			for i < len(text) && text[i] != '\n' {
				i++
			}
			i--
		case c == '"':
			end(i)
			j := strings.IndexByte(text[i+1:], '"')
			if j < 0 {
				return append(list, text[i:])
			}
			list = append(list, text[i:i+j+2])
			i += j + 1
		case c == '\\' && i+1 < len(text) && text[i+1] == '\n':
			end(i)
			i++
		case c == '\n' || c == ';':
			end(i)
			list = append(list, ";")
		case c == ' ' || c == '\t' || c == '\r':
			end(i)
		case c == '{' || c == '}' || c == ',' || c == '(' || c == ')':
			end(i)
			list = append(list, string(c))
		case c == '=' && (i == 0 || !strings.ContainsRune("=!<>", rune(text[i-1]))) &&
			(i+1 == len(text) || text[i+1] != '='):
			end(i)
			list = append(list, "=")
		default:
			if start < 0 {
				start = i
			}
		}
	}
	end(len(text))
	return list
}

// file reads one file.
func (p *nftParser) file(name string, t *nftTable, family string) {
	if p.files++; p.files > maxIncludes || p.depth > 16 {
		p.doubt("the rules include more files than coldcheck follows")
		return
	}
	text, err := p.read(name)
	if err != nil {
		p.err = err
		return
	}
	if tokens := nftTokens(text); p.spend(len(tokens)) {
		p.depth++
		p.statements(tokens, t, family)
		p.depth--
	}
}

// block returns what is between the brace at i and its partner, and where what
// follows it begins.
func block(tokens []string, i int) (inside []string, next int) {
	depth := 0
	for j := i; j < len(tokens); j++ {
		switch tokens[j] {
		case "{":
			depth++
		case "}":
			if depth--; depth == 0 {
				return tokens[i+1 : j], j + 1
			}
		}
	}
	return tokens[i+1:], len(tokens)
}

// statement returns the tokens from i up to the end of the statement, which is
// not in braces, and where what follows it begins.
func statement(tokens []string, i int) (all []string, next int) {
	depth := 0
	for j := i; j < len(tokens); j++ {
		switch tokens[j] {
		case "{":
			depth++
		case "}":
			depth--
		case ";":
			if depth <= 0 {
				return tokens[i:j], j + 1
			}
		}
	}
	return tokens[i:], len(tokens)
}

// statements reads those of a file, or of a table's braces.
func (p *nftParser) statements(tokens []string, t *nftTable, family string) {
	for i := 0; i < len(tokens); {
		word := tokens[i]
		all, next := statement(tokens, i)
		if opensBlock(all) {
			if open := slices.Index(tokens[i:], "{"); open >= 0 && i+open < next {
				_, next = block(tokens, i+open)
				all = tokens[i:next]
			}
		}
		switch {
		case word == ";":
			i++
			continue
		case word == "include":
			if len(all) > 1 {
				p.includes(strings.Trim(all[1], `"`), t, family)
			}
		case word == "define" || word == "redefine":
			if len(all) > 3 && all[2] == "=" {
				p.vars[all[1]] = withoutBreaks(p.expand(all[3:]))
			}
		case word == "undefine":
			if len(all) > 1 {
				delete(p.vars, all[1])
			}
		case t == nil:
			p.command(p.expand(all))
		default:
			p.inTable(t, family, p.expand(all))
		}
		i = next
	}
}

// opensBlock says whether a statement ends with its braces, unlike a rule, in
// which sets are.
func opensBlock(all []string) bool {
	if len(all) > 1 && (all[0] == "add" || all[0] == "create") {
		all = all[1:]
	}
	return len(all) > 0 && slices.Contains([]string{"table", "chain", "set", "map", "flowtable", "counter", "quota",
		"limit", "ct", "secmark", "synproxy", "element"}, all[0])
}

// withoutBreaks takes the line ends out of a value in braces.
func withoutBreaks(tokens []string) []string {
	return slices.DeleteFunc(slices.Clone(tokens), func(s string) bool { return s == ";" })
}

// expand puts in what variables stand for.
func (p *nftParser) expand(tokens []string) []string {
	if !slices.ContainsFunc(tokens, func(s string) bool { return s[0] == '$' }) {
		return tokens
	}
	var list []string
	for _, s := range tokens {
		value, ok := p.vars[strings.TrimPrefix(s, "$")]
		if s[0] != '$' || !ok {
			if s[0] == '$' {
				p.doubt("variable %s is not defined", s)
			}
			list = append(list, s)
			continue
		}
		if !p.spend(len(value)) {
			return nil
		}
		list = append(list, value...)
	}
	return list
}

// includes reads the files that an include names.
func (p *nftParser) includes(name string, t *nftTable, family string) {
	paths, missing, err := p.include(name)
	if err != nil {
		p.err = err
		return
	}
	if missing {
		p.doubt("the included file %s does not exist, so nft loads nothing", name)
		return
	}
	for _, file := range paths {
		if p.file(file, t, family); p.err != nil {
			return
		}
	}
}

// families of tables; a table without one is of ip.
var families = []string{"ip", "ip6", "inet", "arp", "bridge", "netdev"}

// tableName reads an optional family and a name.
func tableName(list []string) (family, name string, rest []string) {
	family = "ip"
	if len(list) > 1 && slices.Contains(families, list[0]) {
		family, list = list[0], list[1:]
	}
	if len(list) == 0 {
		return family, "", nil
	}
	return family, list[0], list[1:]
}

// command does what a statement outside of a table says.
func (p *nftParser) command(all []string) {
	if len(all) == 0 {
		return
	}
	verb, rest := all[0], all[1:]
	if slices.Contains([]string{"table", "chain", "rule", "set", "map", "element"}, verb) {
		verb, rest = "add", all // the same without the verb
	}
	kind := ""
	if len(rest) > 0 {
		kind = rest[0]
	}
	switch {
	case verb == "flush" && kind == "ruleset":
		family := ""
		if len(rest) > 1 {
			family = rest[1]
		}
		for key := range p.rules.tables {
			if family == "" || strings.HasPrefix(key, family+" ") {
				delete(p.rules.tables, key)
			}
		}
	case (verb == "delete" || verb == "destroy") && kind == "table":
		family, name, _ := tableName(rest[1:])
		delete(p.rules.tables, family+" "+name)
	case verb == "flush" && (kind == "table" || kind == "chain"):
		family, name, more := tableName(rest[1:])
		t := p.rules.table(family, name)
		for c := range t.chains {
			if kind == "table" || len(more) > 0 && more[0] == c {
				t.chains[c].rules = nil
			}
		}
	case (verb == "add" || verb == "create") && kind == "table":
		family, name, more := tableName(rest[1:])
		t := p.rules.table(family, name)
		if len(more) > 0 && more[0] == "{" {
			inside, _ := block(more, 0)
			p.statements(inside, t, family)
		}
	case (verb == "add" || verb == "create" || verb == "insert") &&
		slices.Contains([]string{"chain", "rule", "set", "map", "element"}, kind):
		family, name, more := tableName(rest[1:])
		t := p.rules.table(family, name)
		if kind == "rule" {
			p.addRule(t, family, more, verb == "insert")
			return
		}
		p.inTable(t, family, append([]string{kind}, more...))
	case slices.Contains([]string{"counter", "quota", "limit", "ct", "flowtable", "list", "reset"}, kind) ||
		verb == "list":
	default:
		p.doubt("coldcheck does not follow the statement %q", strings.Join(all[:min(len(all), 4)], " "))
	}
}

// addRule adds a rule to the chain that it names first.
func (p *nftParser) addRule(t *nftTable, family string, list []string, first bool) {
	if len(list) == 0 {
		return
	}
	c := t.chain(list[0])
	list = list[1:]
	if len(list) > 1 && (list[0] == "position" || list[0] == "index" || list[0] == "handle") {
		p.doubt("coldcheck does not follow a rule that is inserted at a position")
		return
	}
	rules := p.rule(t, family, list)
	if first {
		if len(c.rules) > 20000 {
			p.doubt("a rule is inserted before more than 20000 others")
			return
		}
		c.rules = append(rules, c.rules...)
		return
	}
	c.rules = append(c.rules, rules...)
}

func (t *nftTable) chain(name string) *filterChain {
	if t.chains[name] == nil {
		t.chains[name] = &filterChain{policy: outNext}
	}
	return t.chains[name]
}

// inTable reads one statement of a table: a chain, a set, a map or another
// object.
func (p *nftParser) inTable(t *nftTable, family string, all []string) {
	if len(all) == 0 {
		return
	}
	open := slices.Index(all, "{")
	switch kind := all[0]; {
	case kind == "flags":
		t.dormant = t.dormant || slices.Contains(all, "dormant")
	case kind == "chain" && len(all) > 1:
		c := t.chain(all[1])
		if open < 0 {
			return
		}
		inside, _ := block(all, open)
		for i := 0; i < len(inside); {
			list, next := statement(inside, i)
			i = next
			switch {
			case len(list) == 0:
			case list[0] == "type":
				t.base(all[1], c, list)
			case list[0] == "policy":
				c.policy = outAccept
				if len(list) > 1 && list[1] == "drop" {
					c.policy = outDrop
				}
			case list[0] == "flags" || list[0] == "comment" || list[0] == "device" || list[0] == "devices":
			case list[0] == "include":
				p.doubt("coldcheck does not follow a file that is included in a chain")
			case list[0] == "define":
				if len(list) > 3 {
					p.vars[list[1]] = withoutBreaks(list[3:])
				}
			default:
				c.rules = append(c.rules, p.rule(t, family, list)...)
			}
		}
	case (kind == "set" || kind == "map") && len(all) > 1 && open > 0:
		inside, _ := block(all, open)
		t.sets[all[1]] = p.set(inside, t.sets[all[1]])
	case kind == "element" && len(all) > 1 && open > 0:
		inside, _ := block(all, open)
		s := t.sets[all[1]]
		p.elements(&s, inside)
		t.sets[all[1]] = s
	case slices.Contains([]string{"flowtable", "counter", "quota", "limit", "ct", "secmark", "synproxy", "comment",
		"tunnel"}, kind):
	default:
		p.doubt("coldcheck does not follow the statement %q", strings.Join(all[:min(len(all), 4)], " "))
	}
}

// base reads "type filter hook input …" of a base chain, which the kernel calls.
func (t *nftTable) base(name string, c *filterChain, list []string) {
	if i := slices.Index(list, "hook"); i > 0 && i+1 < len(list) {
		t.hooks[name] = list[i+1]
		if c.policy == outNext {
			c.policy = outAccept
		}
	}
	if i := slices.Index(list, "policy"); i > 0 && i+1 < len(list) && list[i+1] == "drop" {
		c.policy = outDrop
	}
}

// set reads a named set or map.
func (p *nftParser) set(inside []string, s nftSet) nftSet {
	for i := 0; i < len(inside); {
		list, next := statement(inside, i)
		i = next
		if len(list) == 0 {
			continue
		}
		switch list[0] {
		case "flags":
			s.dynamic = s.dynamic || slices.Contains(list, "dynamic") || slices.Contains(list, "timeout")
		case "timeout", "gc-interval", "size", "counter", "limit", "typeof", "type", "policy", "comment", "auto-merge":
		case "elements":
			if j := slices.Index(list, "{"); j > 0 {
				elements, _ := block(list, j)
				p.elements(&s, elements)
			}
		}
	}
	return s
}

// elements reads those of a set or map: apart by commas, keys and verdicts by a
// colon.
func (p *nftParser) elements(s *nftSet, tokens []string) {
	for _, e := range elementsOf(tokens) {
		if !p.spend(1) {
			return
		}
		s.elements = append(s.elements, e.key)
		s.verdicts = append(s.verdicts, e.verdict)
	}
}

type nftElement struct {
	key     string
	verdict []string
}

// elementsOf takes what stands between braces apart. Sets in it are part of it.
func elementsOf(tokens []string) (list []nftElement) {
	var this nftElement
	var inVerdict, skip bool
	flush := func() {
		if this.key != "" {
			list = append(list, this)
		}
		this, inVerdict, skip = nftElement{}, false, false
	}
	for _, s := range tokens {
		switch {
		case s == "," || s == "{" || s == "}":
			flush()
		case s == ";" || s == "(" || s == ")":
		case inVerdict:
			this.verdict = append(this.verdict, s)
		case s == ":":
			inVerdict = true
		case s == "timeout" || s == "expires" || s == "counter" || s == "comment":
			skip = true
		case skip:
		default:
			if rest, ok := strings.CutSuffix(s, ":"); ok && !strings.Contains(rest, ":") {
				s, inVerdict = rest, true
			}
			if s == "-" || strings.HasSuffix(this.key, "-") || s == "." || strings.HasSuffix(this.key, ".") ||
				this.key == "" {
				this.key += s
			} else {
				this.key += " " + s
			}
		}
	}
	flush()
	return list
}
