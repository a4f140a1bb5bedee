package load

import (
	"math/bits"
	"time"
)

const (
	// subBits gives each power of two 32 buckets: a quantile is exact to 3 %.
	subBits    = 5
	subBuckets = 1 << subBits
	buckets    = (64 - subBits) * subBuckets
)

// histogram counts any number of durations in little memory.
type histogram struct {
	counts [buckets]uint32
	total  uint64
}

func (h *histogram) add(d time.Duration) {
	h.counts[bucketOf(max(d, 0))]++
	h.total++
}

func (h *histogram) merge(other *histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
}

// quantile is the upper end of the bucket with the q-th part of all durations, or 0 if there are none.
func (h *histogram) quantile(q float64) time.Duration {
	rank, seen := uint64(q*float64(h.total)), uint64(0)
	for i, n := range h.counts {
		if seen += uint64(n); n > 0 && seen > rank {
			return upperEnd(i)
		}
	}
	return 0
}

// bucketOf maps values below subBuckets to themselves, and each further power of two to subBuckets buckets.
func bucketOf(d time.Duration) int {
	value := uint64(d)
	if value < subBuckets {
		return int(value)
	}
	shift := bits.Len64(value) - subBits - 1
	return shift*subBuckets + int(value>>shift)
}

func upperEnd(bucket int) time.Duration {
	if bucket < subBuckets {
		return time.Duration(bucket)
	}
	shift := bucket/subBuckets - 1
	return time.Duration((uint64(bucket%subBuckets+subBuckets)+1)<<shift - 1)
}
