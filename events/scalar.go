package events

// maxFastDigits is a length at which an integer is surely in the range of a float64.
const maxFastDigits = 300

// isCanonicalScalar says whether data is the canonical form of true, false, null, an integer or a plain string. It may
// say no to one that is: it is here because most settings are such values, and the JSON decoder is slow for them.
func isCanonicalScalar(data []byte) bool {
	if len(data) == 0 {
		return false
	}
	switch c := data[0]; {
	case c == '"':
		return isPlainString(data)
	case c == '-' || isDigit(c):
		return len(data) < maxFastDigits && isCanonicalInteger(data)
	}
	s := string(data)
	return s == "true" || s == "false" || s == "null"
}

// isPlainString says whether data is a quoted string of ASCII without any escape.
func isPlainString(data []byte) bool {
	last := len(data) - 1
	if last < 1 || data[last] != '"' {
		return false
	}
	for _, c := range data[1:last] {
		if c < ' ' || c >= 0x80 || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

func isCanonicalInteger(data []byte) bool {
	digits := data
	if digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) == 0 || !isDigit(digits[0]) || digits[0] == '0' && len(data) > 1 {
		return false
	}
	return isInteger(digits)
}

// isInteger says whether s, a JSON number or some digits, is written without fraction and exponent.
func isInteger[T string | []byte](s T) bool {
	for i := range len(s) {
		if !isDigit(s[i]) && !(i == 0 && s[i] == '-') {
			return false
		}
	}
	return true
}
