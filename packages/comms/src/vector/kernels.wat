;; Vector kernels of the collectives. Lengths are rounded up to the next 16 bytes: callers leave room, and never read the rest.
;; Compiled into kernels-binary.ts by `npm run kernels -w @slip/comms`; a test holds the two together.
(module
  (memory (export "memory") 1)

  ;; into[i] += other[i], float32
  (func $add (export "add") (param $into i32) (param $other i32) (param $bytes i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $into) (local.get $bytes)))
    (block $done
      (loop $unrolled
        (br_if $done (i32.gt_u (i32.add (local.get $into) (i32.const 64)) (local.get $end)))
        (v128.store (local.get $into) (f32x4.add (v128.load (local.get $into)) (v128.load (local.get $other))))
        (v128.store offset=16 (local.get $into)
          (f32x4.add (v128.load offset=16 (local.get $into)) (v128.load offset=16 (local.get $other))))
        (v128.store offset=32 (local.get $into)
          (f32x4.add (v128.load offset=32 (local.get $into)) (v128.load offset=32 (local.get $other))))
        (v128.store offset=48 (local.get $into)
          (f32x4.add (v128.load offset=48 (local.get $into)) (v128.load offset=48 (local.get $other))))
        (local.set $into (i32.add (local.get $into) (i32.const 64)))
        (local.set $other (i32.add (local.get $other) (i32.const 64)))
        (br $unrolled)))
    (block $over
      (loop $rest
        (br_if $over (i32.ge_u (local.get $into) (local.get $end)))
        (v128.store (local.get $into) (f32x4.add (v128.load (local.get $into)) (v128.load (local.get $other))))
        (local.set $into (i32.add (local.get $into) (i32.const 16)))
        (local.set $other (i32.add (local.get $other) (i32.const 16)))
        (br $rest))))

  ;; into[i] = max(into[i], other[i]), float32; NaN wins
  (func $max (export "max") (param $into i32) (param $other i32) (param $bytes i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $into) (local.get $bytes)))
    (block $over
      (loop $rest
        (br_if $over (i32.ge_u (local.get $into) (local.get $end)))
        (v128.store (local.get $into) (f32x4.max (v128.load (local.get $into)) (v128.load (local.get $other))))
        (local.set $into (i32.add (local.get $into) (i32.const 16)))
        (local.set $other (i32.add (local.get $other) (i32.const 16)))
        (br $rest))))

  ;; Blocks of `bytes` at base, base + stride, ...: neighbours are combined, then pairs of pairs; the result is in the first.
  (func $tree (param $base i32) (param $count i32) (param $stride i32) (param $bytes i32) (param $is_max i32)
    (local $gap i32) (local $i i32) (local $into i32) (local $other i32)
    (local.set $gap (i32.const 1))
    (block $done
      (loop $levels
        (br_if $done (i32.ge_u (local.get $gap) (local.get $count)))
        (local.set $i (i32.const 0))
        (block $level_done
          (loop $pairs
            (br_if $level_done (i32.ge_u (i32.add (local.get $i) (local.get $gap)) (local.get $count)))
            (local.set $into (i32.add (local.get $base) (i32.mul (local.get $i) (local.get $stride))))
            (local.set $other
              (i32.add (local.get $base) (i32.mul (i32.add (local.get $i) (local.get $gap)) (local.get $stride))))
            (if (local.get $is_max)
              (then (call $max (local.get $into) (local.get $other) (local.get $bytes)))
              (else (call $add (local.get $into) (local.get $other) (local.get $bytes))))
            (local.set $i (i32.add (local.get $i) (i32.shl (local.get $gap) (i32.const 1))))
            (br $pairs)))
        (local.set $gap (i32.shl (local.get $gap) (i32.const 1)))
        (br $levels))))
  (func (export "sumTree") (param i32 i32 i32 i32)
    (call $tree (local.get 0) (local.get 1) (local.get 2) (local.get 3) (i32.const 0)))
  (func (export "maxTree") (param i32 i32 i32 i32)
    (call $tree (local.get 0) (local.get 1) (local.get 2) (local.get 3) (i32.const 1)))

  ;; Two running sums of 32-bit words, in four lanes each: of the words, and of that sum after each word, so that order counts.
  ;; $sums: 32 bytes that are read and written; $from: $bytes, a multiple of 16
  (func (export "digest") (param $sums i32) (param $from i32) (param $bytes i32)
    (local $end i32) (local $first v128) (local $second v128)
    (local.set $end (i32.add (local.get $from) (local.get $bytes)))
    (local.set $first (v128.load (local.get $sums)))
    (local.set $second (v128.load offset=16 (local.get $sums)))
    (block $over
      (loop $rest
        (br_if $over (i32.ge_u (local.get $from) (local.get $end)))
        (local.set $first (i32x4.add (local.get $first) (v128.load (local.get $from))))
        (local.set $second (i32x4.add (local.get $second) (local.get $first)))
        (local.set $from (i32.add (local.get $from) (i32.const 16)))
        (br $rest)))
    (v128.store (local.get $sums) (local.get $first))
    (v128.store offset=16 (local.get $sums) (local.get $second)))

  ;; to[i] = own[i] + other[i], float32, with the digests of what `other` was and of what `to` becomes
  (func (export "addDigested") (param $to i32) (param $own i32) (param $other i32) (param $bytes i32) (param $taken i32) (param $made i32)
    (local $end i32) (local $x v128) (local $taken1 v128) (local $taken2 v128) (local $made1 v128) (local $made2 v128)
    (local.set $end (i32.add (local.get $to) (local.get $bytes)))
    (local.set $taken1 (v128.load (local.get $taken)))
    (local.set $taken2 (v128.load offset=16 (local.get $taken)))
    (local.set $made1 (v128.load (local.get $made)))
    (local.set $made2 (v128.load offset=16 (local.get $made)))
    (block $over
      (loop $rest
        (br_if $over (i32.ge_u (local.get $to) (local.get $end)))
        (local.set $x (v128.load (local.get $other)))
        (local.set $taken1 (i32x4.add (local.get $taken1) (local.get $x)))
        (local.set $taken2 (i32x4.add (local.get $taken2) (local.get $taken1)))
        (local.set $x (f32x4.add (v128.load (local.get $own)) (local.get $x)))
        (v128.store (local.get $to) (local.get $x))
        (local.set $made1 (i32x4.add (local.get $made1) (local.get $x)))
        (local.set $made2 (i32x4.add (local.get $made2) (local.get $made1)))
        (local.set $to (i32.add (local.get $to) (i32.const 16)))
        (local.set $own (i32.add (local.get $own) (i32.const 16)))
        (local.set $other (i32.add (local.get $other) (i32.const 16)))
        (br $rest)))
    (v128.store (local.get $taken) (local.get $taken1))
    (v128.store offset=16 (local.get $taken) (local.get $taken2))
    (v128.store (local.get $made) (local.get $made1))
    (v128.store offset=16 (local.get $made) (local.get $made2)))

  ;; Four float32 to four bfloat16 in 32-bit lanes: nearest, ties to even; NaN stays NaN.
  (func $bf16_lanes (param $x v128) (result v128)
    (v128.bitselect
      (v128.or (i32x4.shr_u (local.get $x) (i32.const 16)) (v128.const i32x4 0x40 0x40 0x40 0x40))
      (i32x4.shr_u
        (i32x4.add
          (i32x4.add (local.get $x) (v128.const i32x4 0x7fff 0x7fff 0x7fff 0x7fff))
          (v128.and (i32x4.shr_u (local.get $x) (i32.const 16)) (v128.const i32x4 1 1 1 1)))
        (i32.const 16))
      (f32x4.ne (local.get $x) (local.get $x))))

  ;; float32 at $from to bfloat16 at $to; $bytes of float32
  (func (export "toBfloat16") (param $to i32) (param $from i32) (param $bytes i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $from) (local.get $bytes)))
    (block $over
      (loop $rest
        (br_if $over (i32.ge_u (local.get $from) (local.get $end)))
        (v128.store (local.get $to)
          (i16x8.narrow_i32x4_u
            (call $bf16_lanes (v128.load (local.get $from)))
            (call $bf16_lanes (v128.load offset=16 (local.get $from)))))
        (local.set $to (i32.add (local.get $to) (i32.const 16)))
        (local.set $from (i32.add (local.get $from) (i32.const 32)))
        (br $rest))))

  ;; bfloat16 at $from to float32 at $to; $bytes of float32
  (func (export "fromBfloat16") (param $to i32) (param $from i32) (param $bytes i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $to) (local.get $bytes)))
    (block $over
      (loop $rest
        (br_if $over (i32.ge_u (local.get $to) (local.get $end)))
        (v128.store (local.get $to)
          (i32x4.shl (i32x4.extend_low_i16x8_u (v128.load64_zero (local.get $from))) (i32.const 16)))
        (local.set $to (i32.add (local.get $to) (i32.const 16)))
        (local.set $from (i32.add (local.get $from) (i32.const 8)))
        (br $rest))))

  ;; Four float32 to four float16 in 32-bit lanes: nearest, ties to even; too large becomes infinity, NaN stays NaN.
  (func $f16_lanes (param $x v128) (result v128)
    (local $a v128) (local $r v128)
    (local.set $a (v128.and (local.get $x) (v128.const i32x4 0x7fffffff 0x7fffffff 0x7fffffff 0x7fffffff)))
    ;; normal numbers: another exponent bias, then rounding of the 13 bits that go
    (local.set $r
      (i32x4.shr_u
        (i32x4.add
          (i32x4.sub
            (i32x4.add (local.get $a) (v128.const i32x4 0xfff 0xfff 0xfff 0xfff))
            (v128.const i32x4 0x38000000 0x38000000 0x38000000 0x38000000))
          (v128.and (i32x4.shr_u (local.get $a) (i32.const 13)) (v128.const i32x4 1 1 1 1)))
        (i32.const 13)))
    ;; below 2^-14: one half has the spacing of the smallest float16, so adding it rounds
    (local.set $r
      (v128.bitselect
        (i32x4.sub
          (f32x4.add (local.get $a) (v128.const f32x4 0.5 0.5 0.5 0.5))
          (v128.const i32x4 0x3f000000 0x3f000000 0x3f000000 0x3f000000))
        (local.get $r)
        (i32x4.lt_u (local.get $a) (v128.const i32x4 0x38800000 0x38800000 0x38800000 0x38800000))))
    ;; from 65536 on
    (local.set $r
      (v128.bitselect
        (v128.const i32x4 0x7c00 0x7c00 0x7c00 0x7c00)
        (local.get $r)
        (i32x4.ge_u (local.get $a) (v128.const i32x4 0x47800000 0x47800000 0x47800000 0x47800000))))
    (local.set $r
      (v128.bitselect
        (v128.const i32x4 0x7e00 0x7e00 0x7e00 0x7e00)
        (local.get $r)
        (f32x4.ne (local.get $x) (local.get $x))))
    (v128.or
      (local.get $r)
      (v128.and (i32x4.shr_u (local.get $x) (i32.const 16)) (v128.const i32x4 0x8000 0x8000 0x8000 0x8000))))

  ;; float32 at $from to float16 at $to; $bytes of float32
  (func (export "toFloat16") (param $to i32) (param $from i32) (param $bytes i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $from) (local.get $bytes)))
    (block $over
      (loop $rest
        (br_if $over (i32.ge_u (local.get $from) (local.get $end)))
        (v128.store (local.get $to)
          (i16x8.narrow_i32x4_u
            (call $f16_lanes (v128.load (local.get $from)))
            (call $f16_lanes (v128.load offset=16 (local.get $from)))))
        (local.set $to (i32.add (local.get $to) (i32.const 16)))
        (local.set $from (i32.add (local.get $from) (i32.const 32)))
        (br $rest))))

  ;; Four float16 in 32-bit lanes to four float32
  (func $f32_lanes (param $h v128) (result v128)
    (local $a v128) (local $r v128)
    (local.set $a
      (i32x4.shl (v128.and (local.get $h) (v128.const i32x4 0x7fff 0x7fff 0x7fff 0x7fff)) (i32.const 13)))
    (local.set $r (i32x4.add (local.get $a) (v128.const i32x4 0x38000000 0x38000000 0x38000000 0x38000000)))
    ;; infinities and NaN
    (local.set $r
      (v128.bitselect
        (i32x4.add (local.get $r) (v128.const i32x4 0x38000000 0x38000000 0x38000000 0x38000000))
        (local.get $r)
        (i32x4.ge_u (local.get $a) (v128.const i32x4 0x0f800000 0x0f800000 0x0f800000 0x0f800000))))
    ;; numbers below 2^-14
    (local.set $r
      (v128.bitselect
        (f32x4.sub
          (i32x4.add (local.get $a) (v128.const i32x4 0x38800000 0x38800000 0x38800000 0x38800000))
          (v128.const i32x4 0x38800000 0x38800000 0x38800000 0x38800000))
        (local.get $r)
        (i32x4.lt_u (local.get $a) (v128.const i32x4 0x00800000 0x00800000 0x00800000 0x00800000))))
    (v128.or
      (local.get $r)
      (i32x4.shl (v128.and (local.get $h) (v128.const i32x4 0x8000 0x8000 0x8000 0x8000)) (i32.const 16))))

  ;; float16 at $from to float32 at $to; $bytes of float32
  (func (export "fromFloat16") (param $to i32) (param $from i32) (param $bytes i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $to) (local.get $bytes)))
    (block $over
      (loop $rest
        (br_if $over (i32.ge_u (local.get $to) (local.get $end)))
        (v128.store (local.get $to)
          (call $f32_lanes (i32x4.extend_low_i16x8_u (v128.load64_zero (local.get $from)))))
        (local.set $to (i32.add (local.get $to) (i32.const 16)))
        (local.set $from (i32.add (local.get $from) (i32.const 8)))
        (br $rest)))))
