package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// figure is one line of the report: what was measured, its median, and the ratio to a peer with the bound that the
// ratio should keep.
type figure struct {
	name  string
	value string
	peer  string
	ratio float64 // 0: no ratio
	bound float64 // 0: no bound
	most  bool    // the bound is an upper one
}

func (f figure) verdict() string {
	switch {
	case f.bound == 0:
		return ""
	case f.most && f.ratio <= f.bound, !f.most && f.ratio >= f.bound:
		return "met"
	}
	return "MISSED"
}

func (f figure) target() string {
	switch {
	case f.bound == 0:
		return ""
	case f.most:
		return fmt.Sprintf("≤ %.2f", f.bound)
	}
	return fmt.Sprintf("≥ %.2f", f.bound)
}

// report collects figures and prints them as a table.
type report struct{ figures []figure }

func (r *report) add(f figure) { r.figures = append(r.figures, f) }

func (r *report) print(w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "what\tmedian\tagainst\tratio\ttarget\t")
	for _, f := range r.figures {
		ratio := ""
		if f.ratio != 0 {
			ratio = fmt.Sprintf("%.2f", f.ratio)
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\n", f.name, f.value, f.peer, ratio, f.target(), f.verdict())
	}
	tw.Flush()
}

func median(xs []float64) float64 {
	xs = slices.Sorted(slices.Values(xs))
	if len(xs) == 0 {
		return 0
	}
	return xs[len(xs)/2]
}

// percentile of sorted values; p in 0…1.
func percentile(sorted []int64, p float64) int64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}
