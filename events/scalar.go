package events

// plainScalar returns the canonical form of data if it is true, false, null, a number, or a string without escapes, and
// nothing around it. False says nothing about data: this is here because nearly all settings are such values, and the
// JSON decoder is slow for them.
func plainScalar(data []byte) (Value, bool) {
	if len(data) == 0 {
		return "", false
	}
	switch c := data[0]; {
	case c == '"':
		return Value(data), isPlainString(data)
	case c == '-' || isDigit(c):
		if !isNumber(data) {
			return "", false
		}
		b, err := appendNumber(make([]byte, 0, len(data)), string(data))
		return Value(b), err == nil
	}
	s := string(data)
	return Value(s), s == "true" || s == "false" || s == "null"
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

// isNumber says whether data is a number by JSON's grammar.
func isNumber(data []byte) bool {
	if data[0] == '-' {
		data = data[1:]
	}
	if len(data) > 1 && data[0] == '0' && isDigit(data[1]) {
		return false
	}
	data, ok := cutDigits(data)
	if ok && len(data) > 0 && data[0] == '.' {
		data, ok = cutDigits(data[1:])
	}
	if ok && len(data) > 0 && (data[0] == 'e' || data[0] == 'E') {
		data = data[1:]
		if len(data) > 0 && (data[0] == '+' || data[0] == '-') {
			data = data[1:]
		}
		data, ok = cutDigits(data)
	}
	return ok && len(data) == 0
}

// cutDigits returns what follows the digits that data begins with; false: there is none.
func cutDigits(data []byte) ([]byte, bool) {
	n := 0
	for n < len(data) && isDigit(data[n]) {
		n++
	}
	return data[n:], n > 0
}

// isInteger says whether s, a JSON number, is written without fraction and exponent.
func isInteger(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) && !(i == 0 && s[i] == '-') {
			return false
		}
	}
	return true
}
