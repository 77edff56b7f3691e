package devservers

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFetch downloads an archive as the repository has it, with this test binary in place of the programs: its server
// does not start, as Postgres does not for root, and the binaries count all the same.
func TestFetch(t *testing.T) {
	self, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	jar := zipped(t, "postgres.txz", xz(tarred(t, self, "bin/initdb", "bin/postgres")))
	repository := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "-"+string(downloaded)+".jar") {
			w.Write(jar)
			return
		}
		http.NotFound(w, r) // there is no checksum to compare
	}))
	defer repository.Close()

	cache := tempDir(t)
	home := filepath.Join(cache, "home")
	if err := fetch(t.Context(), cache, home, repository.URL); err != nil {
		t.Fatal(err)
	}
	version, err := binaryVersion(t.Context(), filepath.Join(home, "bin"))
	if err != nil || version != string(downloaded) {
		t.Errorf("got version %q, %v; want %s", version, err, downloaded)
	}
	left, err := os.ReadDir(cache)
	if err != nil || len(left) != 1 {
		t.Errorf("left behind beside the binaries: %v, %v", left, err)
	}
}

func TestFetchFails(t *testing.T) {
	repository := httptest.NewServer(http.NotFoundHandler())
	cache := tempDir(t)
	home := filepath.Join(cache, "home")
	if err := fetch(t.Context(), cache, home, repository.URL); err == nil {
		t.Error("fetched what is not there")
	}
	repository.Close()
	if err := fetch(t.Context(), cache, home, repository.URL); err == nil {
		t.Error("fetched from nobody")
	}
	if _, err := os.Stat(home); !os.IsNotExist(err) {
		t.Error("a fetch that failed left something for the next start to trust")
	}
}

func tarred(t *testing.T, content []byte, names ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range names {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zipped(t *testing.T, name string, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// xz wraps data in the format without compressing it: no library here writes it, and not every machine has the program.
func xz(data []byte) []byte {
	var b bytes.Buffer
	checked := func(p []byte) { // followed by its CRC32
		b.Write(p)
		binary.Write(&b, binary.LittleEndian, crc32.ChecksumIEEE(p))
	}
	flags := []byte{0, 1} // the check is a CRC32
	io.WriteString(&b, "\xfd7zXZ\x00")
	checked(flags)

	block := b.Len()
	checked([]byte{2, 0, 0x21, 1, 22, 0, 0, 0}) // 12 bytes with CRC; one filter, LZMA2, dictionary of 8 MiB
	for rest, control := data, byte(1); len(rest) > 0; control = 2 {
		chunk := rest[:min(len(rest), 1<<16)]
		rest = rest[len(chunk):]
		b.Write([]byte{control, byte((len(chunk) - 1) >> 8), byte(len(chunk) - 1)})
		b.Write(chunk)
	}
	b.WriteByte(0)
	unpadded := b.Len() - block + 4
	pad(&b, block)
	binary.Write(&b, binary.LittleEndian, crc32.ChecksumIEEE(data))

	index := []byte{0, 1}
	index = binary.AppendUvarint(index, uint64(unpadded))
	index = binary.AppendUvarint(index, uint64(len(data)))
	for len(index)%4 != 0 {
		index = append(index, 0)
	}
	checked(index)
	footer := binary.LittleEndian.AppendUint32(nil, uint32(len(index)+4)/4-1)
	footer = append(footer, flags...)
	binary.Write(&b, binary.LittleEndian, crc32.ChecksumIEEE(footer))
	b.Write(footer)
	io.WriteString(&b, "YZ")
	return b.Bytes()
}

// pad fills up to a multiple of four since start.
func pad(b *bytes.Buffer, start int) {
	for (b.Len()-start)%4 != 0 {
		b.WriteByte(0)
	}
}
