# compare.awk: awk -f compare.awk EXPECTED.csv ACTUAL.csv; says where they differ, and exits 1 then.
#
# Names alike but for case, rows in the same order. Numbers are equal as numbers, so 1.50 is 1.5; a column that
# is an average or a quotient (avg..., promo_revenue) after rounding to 6 digits behind the point, because how
# precise a quotient is, is an engine's own choice. Works on the digits: no number is too long for it.

# The fields of a line of CSV in field[1..]; returns how many. A value that was quoted keeps a mark before it,
# so that an empty text is not a null.
function split_csv(line,    n, at, c, text, quoted) {
	n = 0; text = ""; quoted = 0
	for (at = 1; at <= length(line) + 1; at++) {
		c = substr(line, at, 1)
		if (c == "\"" && !quoted && text == "") {
			quoted = 1; text = ""; marked = 1
		} else if (c == "\"" && quoted) {
			if (substr(line, at + 1, 1) == "\"") { text = text "\""; at++ } else quoted = 0
		} else if ((c == "," || at > length(line)) && !quoted) {
			field[++n] = (marked && text == "") ? "\"\"" : text
			text = ""; marked = 0
		} else
			text = text c
	}
	return n
}

# Digits rounded to 6 places, half away from zero.
function round6(number,    sign, whole, part, digits, at, d, carry) {
	sign = sub(/^-/, "", number) ? "-" : ""
	whole = number; part = ""
	if (index(number, ".")) { whole = substr(number, 1, index(number, ".") - 1); part = substr(number, index(number, ".") + 1) }
	while (length(part) < 7) part = part "0"
	carry = substr(part, 7, 1) >= 5
	digits = whole substr(part, 1, 6); part = ""
	for (at = length(digits); at >= 1; at--) {
		d = substr(digits, at, 1) + carry
		carry = d > 9
		part = (d % 10) part
	}
	if (carry) part = "1" part
	return sign substr(part, 1, length(part) - 6) "." substr(part, length(part) - 5)
}

function plain(value, quotient) {
	if (value !~ /^-?[0-9]+(\.[0-9]+)?$/) return value
	if (quotient) value = round6(value)
	if (value ~ /\./) { sub(/0+$/, "", value); sub(/\.$/, "", value) }
	sub(/^0+/, "", value); sub(/^-0+/, "-", value)
	return value == "" || value == "-" || value ~ /^-?\.?$/ ? "0" : value
}

function fail(text) { print text; failed = 1; exit 1 }

FNR == NR { want[FNR] = $0; wanted = FNR; next }

{
	if (FNR > wanted) fail("line " FNR ": more rows than the " wanted - 1 " expected")
	n = split_csv(want[FNR])
	for (i = 1; i <= n; i++) expected[i] = field[i]
	if (split_csv($0) != n) fail("line " FNR ": other columns: " $0)
	for (i = 1; i <= n; i++) {
		if (FNR == 1) {
			name[i] = tolower(expected[i])
			if (tolower(field[i]) != name[i]) fail("column " i " is named " field[i] ", not " expected[i])
			continue
		}
		q = name[i] ~ /^avg/ || name[i] == "promo_revenue"
		if (plain(field[i], q) != plain(expected[i], q) "")
			fail("line " FNR ", " name[i] ": " field[i] " is not " expected[i])
	}
	seen = FNR
}

END { if (!failed && seen != wanted) { print "lines: " seen " instead of " wanted; exit 1 } if (failed) exit 1 }
