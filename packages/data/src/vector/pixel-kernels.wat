;; Vector kernels for the pixels of a view, with Pillow's arithmetic. Pictures come as interleaved RGB; a view is kept as lines: for
;; each row its red, its green and its blue bytes, each padded to $stride, a multiple of 16. Integers and float operations of
;; IEEE 754 only, so that every machine has the same bits. Compiled into pixel-kernels-binary.ts by `npm run kernels -w @slip/data`;
;; a test holds the two together.
;;
;; (macro $name (param $a) ... body) is an expression that `($name x)` stands for, with x in place of $a: engines do not inline
;; functions. The compile script expands it. Arguments that a body uses twice have to be cheap.
(module
  (import "env" "memory" (memory 1 65536 shared))

  ;; Horizontal pass of a resize. $table has for each column the byte offset of its first pixel and $pairs times the weights of two
  ;; pixels: their upper parts (2^22 / 2^11) and their lower 11 bits, two 16-bit numbers each.
  (func (export "narrow") (param $src i32) (param $pitch i32) (param $rows i32) (param $dst i32) (param $stride i32)
      (param $columns i32) (param $table i32) (param $pairs i32)
    (local $t i32) (local $tEnd i32) (local $p i32) (local $o i32) (local $oEnd i32)
    (local $two v128) (local $high v128) (local $low v128)
    (block $done
      (loop $row
        (br_if $done (i32.eqz (local.get $rows)))
        (local.set $t (local.get $table))
        (local.set $o (local.get $dst))
        (local.set $oEnd (i32.add (local.get $dst) (local.get $columns)))
        (loop $column
          (local.set $p (i32.add (local.get $src) (i32.load (local.get $t))))
          (local.set $t (i32.add (local.get $t) (i32.const 4)))
          (local.set $tEnd (i32.add (local.get $t) (i32.shl (local.get $pairs) (i32.const 3))))
          (local.set $high (v128.const i32x4 0 0 0 0))
          (local.set $low (v128.const i32x4 0x200000 0x200000 0x200000 0x200000))
          (loop $pair
            (local.set $two (v128.load8x8_u (local.get $p)))
            (local.set $two (i8x16.shuffle 0 1 6 7 2 3 8 9 4 5 10 11 4 5 10 11 (local.get $two) (local.get $two)))
            (local.set $high (i32x4.add (local.get $high) (i32x4.dot_i16x8_s (local.get $two) (v128.load32_splat (local.get $t)))))
            (local.set $low
              (i32x4.add (local.get $low) (i32x4.dot_i16x8_s (local.get $two) (v128.load32_splat offset=4 (local.get $t)))))
            (local.set $p (i32.add (local.get $p) (i32.const 6)))
            (br_if $pair (i32.lt_u (local.tee $t (i32.add (local.get $t) (i32.const 8))) (local.get $tEnd))))
          (local.set $high
            (i32x4.shr_s (i32x4.add (i32x4.shl (local.get $high) (i32.const 11)) (local.get $low)) (i32.const 22)))
          (local.set $high (i16x8.narrow_i32x4_s (local.get $high) (local.get $high)))
          (local.set $high (i8x16.narrow_i16x8_u (local.get $high) (local.get $high)))
          (v128.store8_lane 0 (local.get $o) (local.get $high))
          (v128.store8_lane 1 (i32.add (local.get $o) (local.get $stride)) (local.get $high))
          (v128.store8_lane 2 (i32.add (local.get $o) (i32.shl (local.get $stride) (i32.const 1))) (local.get $high))
          (br_if $column (i32.lt_u (local.tee $o (i32.add (local.get $o) (i32.const 1))) (local.get $oEnd))))
        (local.set $src (i32.add (local.get $src) (local.get $pitch)))
        (local.set $dst (i32.add (local.get $dst) (i32.mul (local.get $stride) (i32.const 3))))
        (local.set $rows (i32.sub (local.get $rows) (i32.const 1)))
        (br $row))))

  ;; Vertical pass: rows of $pitch bytes, a multiple of 16, from such rows. The table is the same, with offsets of rows.
  (func (export "combineRows") (param $src i32) (param $pitch i32) (param $dst i32) (param $rows i32) (param $table i32) (param $pairs i32)
    (local $t i32) (local $tEnd i32) (local $p i32) (local $first i32) (local $end i32)
    (local $a v128) (local $b v128) (local $two v128) (local $upper v128) (local $lower v128)
    (local $h0 v128) (local $h1 v128) (local $h2 v128) (local $h3 v128)
    (local $l0 v128) (local $l1 v128) (local $l2 v128) (local $l3 v128)
    (block $done
      (loop $row
        (br_if $done (i32.eqz (local.get $rows)))
        (local.set $first (i32.add (local.get $src) (i32.load (local.get $table))))
        (local.set $tEnd (i32.add (local.get $table) (i32.add (i32.const 4) (i32.shl (local.get $pairs) (i32.const 3)))))
        (local.set $end (i32.add (local.get $dst) (local.get $pitch)))
        (loop $columns
          (local.set $h0 (v128.const i32x4 0 0 0 0))
          (local.set $h1 (local.get $h0))
          (local.set $h2 (local.get $h0))
          (local.set $h3 (local.get $h0))
          (local.set $l0 (v128.const i32x4 0x200000 0x200000 0x200000 0x200000))
          (local.set $l1 (local.get $l0))
          (local.set $l2 (local.get $l0))
          (local.set $l3 (local.get $l0))
          (local.set $p (local.get $first))
          (local.set $t (i32.add (local.get $table) (i32.const 4)))
          (loop $pair
            (local.set $a (v128.load (local.get $p)))
            (local.set $b (v128.load (i32.add (local.get $p) (local.get $pitch))))
            (local.set $upper (v128.load32_splat (local.get $t)))
            (local.set $lower (v128.load32_splat offset=4 (local.get $t)))
            (local.set $two (i8x16.shuffle 0 16 1 17 2 18 3 19 4 20 5 21 6 22 7 23 (local.get $a) (local.get $b)))
            (local.set $b (i8x16.shuffle 8 24 9 25 10 26 11 27 12 28 13 29 14 30 15 31 (local.get $a) (local.get $b)))
            (local.set $a (i16x8.extend_low_i8x16_u (local.get $two)))
            (local.set $h0 (i32x4.add (local.get $h0) (i32x4.dot_i16x8_s (local.get $a) (local.get $upper))))
            (local.set $l0 (i32x4.add (local.get $l0) (i32x4.dot_i16x8_s (local.get $a) (local.get $lower))))
            (local.set $a (i16x8.extend_high_i8x16_u (local.get $two)))
            (local.set $h1 (i32x4.add (local.get $h1) (i32x4.dot_i16x8_s (local.get $a) (local.get $upper))))
            (local.set $l1 (i32x4.add (local.get $l1) (i32x4.dot_i16x8_s (local.get $a) (local.get $lower))))
            (local.set $a (i16x8.extend_low_i8x16_u (local.get $b)))
            (local.set $h2 (i32x4.add (local.get $h2) (i32x4.dot_i16x8_s (local.get $a) (local.get $upper))))
            (local.set $l2 (i32x4.add (local.get $l2) (i32x4.dot_i16x8_s (local.get $a) (local.get $lower))))
            (local.set $a (i16x8.extend_high_i8x16_u (local.get $b)))
            (local.set $h3 (i32x4.add (local.get $h3) (i32x4.dot_i16x8_s (local.get $a) (local.get $upper))))
            (local.set $l3 (i32x4.add (local.get $l3) (i32x4.dot_i16x8_s (local.get $a) (local.get $lower))))
            (local.set $p (i32.add (local.get $p) (i32.shl (local.get $pitch) (i32.const 1))))
            (br_if $pair (i32.lt_u (local.tee $t (i32.add (local.get $t) (i32.const 8))) (local.get $tEnd))))
          (v128.store (local.get $dst)
            (i8x16.narrow_i16x8_u
              (i16x8.narrow_i32x4_s
                (i32x4.shr_s (i32x4.add (i32x4.shl (local.get $h0) (i32.const 11)) (local.get $l0)) (i32.const 22))
                (i32x4.shr_s (i32x4.add (i32x4.shl (local.get $h1) (i32.const 11)) (local.get $l1)) (i32.const 22)))
              (i16x8.narrow_i32x4_s
                (i32x4.shr_s (i32x4.add (i32x4.shl (local.get $h2) (i32.const 11)) (local.get $l2)) (i32.const 22))
                (i32x4.shr_s (i32x4.add (i32x4.shl (local.get $h3) (i32.const 11)) (local.get $l3)) (i32.const 22)))))
          (local.set $first (i32.add (local.get $first) (i32.const 16)))
          (br_if $columns (i32.lt_u (local.tee $dst (i32.add (local.get $dst) (i32.const 16))) (local.get $end))))
        (local.set $table (local.get $tEnd))
        (local.set $rows (i32.sub (local.get $rows) (i32.const 1)))
        (br $row))))

  ;; Each byte becomes base + factor * (byte - base), in float32, truncated and clipped: brightness (base 0), contrast (base the mean).
  (func (export "blendWithLevel") (param $p i32) (param $bytes i32) (param $base f32) (param $factor f32)
    (local $end i32) (local $v v128) (local $w v128) (local $b v128) (local $f v128)
    (local $x0 v128) (local $x1 v128) (local $x2 v128) (local $x3 v128)
    (local.set $b (f32x4.splat (local.get $base)))
    (local.set $f (f32x4.splat (local.get $factor)))
    (local.set $end (i32.add (local.get $p) (local.get $bytes)))
    (block $done
      (loop $rest
        (br_if $done (i32.ge_u (local.get $p) (local.get $end)))
        (local.set $v (v128.load (local.get $p)))
        (local.set $w (i16x8.extend_low_i8x16_u (local.get $v)))
        (local.set $v (i16x8.extend_high_i8x16_u (local.get $v)))
        (local.set $x0 (f32x4.sub (f32x4.convert_i32x4_s (i32x4.extend_low_i16x8_u (local.get $w))) (local.get $b)))
        (local.set $x1 (f32x4.sub (f32x4.convert_i32x4_s (i32x4.extend_high_i16x8_u (local.get $w))) (local.get $b)))
        (local.set $x2 (f32x4.sub (f32x4.convert_i32x4_s (i32x4.extend_low_i16x8_u (local.get $v))) (local.get $b)))
        (local.set $x3 (f32x4.sub (f32x4.convert_i32x4_s (i32x4.extend_high_i16x8_u (local.get $v))) (local.get $b)))
        (local.set $x0 (i32x4.trunc_sat_f32x4_s (f32x4.add (local.get $b) (f32x4.mul (local.get $f) (local.get $x0)))))
        (local.set $x1 (i32x4.trunc_sat_f32x4_s (f32x4.add (local.get $b) (f32x4.mul (local.get $f) (local.get $x1)))))
        (local.set $x2 (i32x4.trunc_sat_f32x4_s (f32x4.add (local.get $b) (f32x4.mul (local.get $f) (local.get $x2)))))
        (local.set $x3 (i32x4.trunc_sat_f32x4_s (f32x4.add (local.get $b) (f32x4.mul (local.get $f) (local.get $x3)))))
        (v128.store (local.get $p)
          (i8x16.narrow_i16x8_u
            (i16x8.narrow_i32x4_s (local.get $x0) (local.get $x1))
            (i16x8.narrow_i32x4_s (local.get $x2) (local.get $x3))))
        (local.set $p (i32.add (local.get $p) (i32.const 16)))
        (br $rest))))

  ;; (19595 r + 38470 g + 7471 b + 32768) >> 16 of four pixels of 32 bits: ITU-R 601-2 as Pillow has it
  (macro $luma (param $r) (param $g) (param $b)
    (i32x4.shr_u
      (i32x4.add
        (i32x4.add
          (i32x4.mul $r (v128.const i32x4 19595 19595 19595 19595))
          (i32x4.mul $g (v128.const i32x4 38470 38470 38470 38470)))
        (i32x4.add
          (i32x4.mul $b (v128.const i32x4 7471 7471 7471 7471))
          (v128.const i32x4 32768 32768 32768 32768)))
      (i32.const 16)))

  ;; Four bytes as four numbers of 32 bits.
  (macro $four (param $place) (i32x4.extend_low_i16x8_u (i16x8.extend_low_i8x16_u (v128.load32_zero $place))))

  ;; Clips four numbers to bytes and stores them. $n is a local.
  (macro $store4 (param $place) (param $v)
    (v128.store32_lane 0 $place
      (i8x16.narrow_i16x8_u (i16x8.narrow_i32x4_s (local.tee $n $v) (local.get $n)) (v128.const i32x4 0 0 0 0))))

  ;; Sum of the luma of all pixels, padding left out.
  (func (export "sumOfLuma") (param $p i32) (param $rows i32) (param $columns i32) (param $stride i32) (result i32)
    (local $x i32) (local $q i32) (local $sum v128) (local $lanes v128)
    (block $done
      (loop $row
        (br_if $done (i32.eqz (local.get $rows)))
        (local.set $x (i32.const 0))
        (loop $four
          (local.set $q (i32.add (local.get $p) (local.get $x)))
          (local.set $lanes
            (i32x4.lt_s
              (i32x4.add (i32x4.splat (local.get $x)) (v128.const i32x4 0 1 2 3))
              (i32x4.splat (local.get $columns))))
          (local.set $sum
            (i32x4.add (local.get $sum)
              (v128.and (local.get $lanes)
                ($luma
                  ($four (local.get $q))
                  ($four (i32.add (local.get $q) (local.get $stride)))
                  ($four (i32.add (local.get $q) (i32.shl (local.get $stride) (i32.const 1))))))))
          (br_if $four (i32.lt_u (local.tee $x (i32.add (local.get $x) (i32.const 4))) (local.get $columns))))
        (local.set $p (i32.add (local.get $p) (i32.mul (local.get $stride) (i32.const 3))))
        (local.set $rows (i32.sub (local.get $rows) (i32.const 1)))
        (br $row)))
    (i32.add
      (i32.add (i32x4.extract_lane 0 (local.get $sum)) (i32x4.extract_lane 1 (local.get $sum)))
      (i32.add (i32x4.extract_lane 2 (local.get $sum)) (i32x4.extract_lane 3 (local.get $sum)))))

  ;; base + factor * (value - base) in float32, truncated
  (macro $blend (param $base) (param $value) (param $factor)
    (i32x4.trunc_sat_f32x4_s
      (f32x4.add $base (f32x4.mul $factor (f32x4.sub (f32x4.convert_i32x4_s $value) $base)))))

  ;; Blends with the pixels' own luma: saturation; with factor 0, greyscale.
  (func (export "blendWithLuma") (param $p i32) (param $rows i32) (param $stride i32) (param $factor f32)
    (local $end i32) (local $g i32) (local $b i32) (local $f v128) (local $red v128) (local $green v128) (local $blue v128) (local $grey v128)
    (local $n v128)
    (local.set $f (f32x4.splat (local.get $factor)))
    (block $done
      (loop $row
        (br_if $done (i32.eqz (local.get $rows)))
        (local.set $g (i32.add (local.get $p) (local.get $stride)))
        (local.set $b (i32.add (local.get $g) (local.get $stride)))
        (local.set $end (local.get $g))
        (loop $four
          (local.set $red ($four (local.get $p)))
          (local.set $green ($four (local.get $g)))
          (local.set $blue ($four (local.get $b)))
          (local.set $grey (f32x4.convert_i32x4_s ($luma (local.get $red) (local.get $green) (local.get $blue))))
          ($store4 (local.get $p) ($blend (local.get $grey) (local.get $red) (local.get $f)))
          ($store4 (local.get $g) ($blend (local.get $grey) (local.get $green) (local.get $f)))
          ($store4 (local.get $b) ($blend (local.get $grey) (local.get $blue) (local.get $f)))
          (local.set $g (i32.add (local.get $g) (i32.const 4)))
          (local.set $b (i32.add (local.get $b) (i32.const 4)))
          (br_if $four (i32.lt_u (local.tee $p (i32.add (local.get $p) (i32.const 4))) (local.get $end))))
        (local.set $p (local.get $b))
        (local.set $rows (i32.sub (local.get $rows) (i32.const 1)))
        (br $row))))

  ;; trunc(255 * x) for 0 <= x <= 1 as if the product were exact: 256 x - x is rounded once, and what was lost is known. Changes the
  ;; locals $wide and $y. The mask is -1 where the product was rounded up to a whole number.
  (macro $times255 (param $x)
    (i32x4.add
      (i32x4.trunc_sat_f32x4_s
        (local.tee $y
          (f32x4.sub (local.tee $wide (f32x4.mul $x (v128.const f32x4 256 256 256 256))) $x)))
      (v128.and
        (f32x4.eq (local.get $y) (f32x4.trunc (local.get $y)))
        (f32x4.lt (f32x4.sub (f32x4.sub (local.get $wide) (local.get $y)) $x) (v128.const f32x4 0 0 0 0)))))

  ;; fraction of sector / 6 + 1, in float64, of two lanes, as float32. Changes the local $d.
  (macro $turn (param $sector)
    (f32x4.demote_f64x2_zero
      (f64x2.sub
        (local.tee $d
          (f64x2.add (f64x2.div (f64x2.promote_low_f32x4 $sector) (v128.const f64x2 6 6)) (v128.const f64x2 1 1)))
        (f64x2.floor (local.get $d)))))

  ;; floor(value * (1 - u) + 0.5) of two lanes in float64; u is the float32 product for odd sixths, a float64 one for even ones
  (macro $ramp (param $value) (param $fs) (param $f) (param $odd)
    (i32x4.trunc_sat_f64x2_s_zero
      (f64x2.add
        (f64x2.mul
          (f64x2.convert_low_i32x4_s $value)
          (f64x2.sub
            (v128.const f64x2 1 1)
            (v128.bitselect
              (f64x2.promote_low_f32x4 (f32x4.mul $fs $f))
              (f64x2.mul
                (f64x2.promote_low_f32x4 $fs)
                (f64x2.sub (v128.const f64x2 1 1) (f64x2.promote_low_f32x4 $f)))
              (i64x2.extend_low_i32x4_s $odd))))
        (v128.const f64x2 0.5 0.5))))

  (macro $upperHalf (param $v)
    (i8x16.shuffle 8 9 10 11 12 13 14 15 8 9 10 11 12 13 14 15 $v $v))

  (macro $bothHalves (param $low) (param $high)
    (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23 $low $high))

  ;; (sixth + 4) mod 6. Changes the local $n.
  (macro $back (param $sixth)
    (i32x4.add
      (local.tee $n (i32x4.sub $sixth (v128.const i32x4 2 2 2 2)))
      (v128.and (v128.const i32x4 6 6 6 6) (i32x4.shr_s (local.get $n) (i32.const 31)))))

  ;; What red is in a sixth: max, ramp, low, low, ramp, max.
  (macro $channel (param $sixth) (param $max) (param $ramp) (param $low)
    (v128.bitselect
      $max
      (v128.bitselect
        $ramp
        $low
        (v128.or
          (i32x4.eq $sixth (v128.const i32x4 1 1 1 1))
          (i32x4.eq $sixth (v128.const i32x4 4 4 4 4))))
      (v128.or
        (i32x4.eq $sixth (v128.const i32x4 0 0 0 0))
        (i32x4.eq $sixth (v128.const i32x4 5 5 5 5)))))

  ;; Turns the hue by $shift / 256 of the circle through Pillow's HSV of bytes.
  (func (export "turnHue") (param $p i32) (param $rows i32) (param $stride i32) (param $shift i32)
    (local $end i32) (local $g i32) (local $b i32)
    (local $red v128) (local $green v128) (local $blue v128) (local $max v128) (local $min v128) (local $chroma v128)
    (local $isRed v128) (local $isGreen v128) (local $first v128) (local $base v128) (local $sign v128)
    (local $sat v128) (local $angle v128) (local $sixth v128) (local $f v128) (local $fs v128) (local $low v128) (local $ramp v128)
    (local $odd v128) (local $grey v128) (local $x v128) (local $n v128) (local $wide v128) (local $y v128) (local $d v128)
    (block $done
      (loop $row
        (br_if $done (i32.eqz (local.get $rows)))
        (local.set $g (i32.add (local.get $p) (local.get $stride)))
        (local.set $b (i32.add (local.get $g) (local.get $stride)))
        (local.set $end (local.get $g))
        (loop $four
          (local.set $red ($four (local.get $p)))
          (local.set $green ($four (local.get $g)))
          (local.set $blue ($four (local.get $b)))
          (local.set $max (i32x4.max_s (i32x4.max_s (local.get $red) (local.get $green)) (local.get $blue)))
          (local.set $min (i32x4.min_s (i32x4.min_s (local.get $red) (local.get $green)) (local.get $blue)))
          (local.set $chroma (f32x4.convert_i32x4_s (i32x4.sub (local.get $max) (local.get $min))))
          (local.set $x (f32x4.div (local.get $chroma) (f32x4.convert_i32x4_s (local.get $max))))
          (local.set $sat ($times255 (local.get $x)))
          ;; Which channel is largest, and which of the other two is least, give the sixth: base + sign * t, where t is how far the
          ;; middle one is below the largest. One operation, so it is rounded as Pillow's difference of float64 is.
          (local.set $isRed (i32x4.eq (local.get $red) (local.get $max)))
          (local.set $isGreen (i32x4.eq (local.get $green) (local.get $max)))
          (local.set $first
            (i32x4.eq
              (v128.bitselect (local.get $blue) (v128.bitselect (local.get $blue) (local.get $red) (local.get $isGreen)) (local.get $isRed))
              (local.get $min)))
          (local.set $base
            (v128.bitselect
              (v128.bitselect (v128.const f32x4 1 1 1 1) (v128.const f32x4 -1 -1 -1 -1) (local.get $first))
              (v128.bitselect
                (v128.bitselect (v128.const f32x4 1 1 1 1) (v128.const f32x4 3 3 3 3) (local.get $first))
                (v128.bitselect (v128.const f32x4 3 3 3 3) (v128.const f32x4 5 5 5 5) (local.get $first))
                (local.get $isGreen))
              (local.get $isRed)))
          (local.set $sign
            (v128.and (v128.not (v128.xor (local.get $isRed) (local.get $first))) (v128.const i32x4 0x80000000 0x80000000 0x80000000 0x80000000)))
          (local.set $angle
            (f32x4.add (local.get $base)
              (v128.xor (local.get $sign)
                (f32x4.div
                  (f32x4.convert_i32x4_s
                    (i32x4.sub
                      (i32x4.add (i32x4.add (local.get $max) (local.get $max)) (local.get $min))
                      (i32x4.add (i32x4.add (local.get $red) (local.get $green)) (local.get $blue))))
                  (local.get $chroma)))))
          (local.set $x ($bothHalves ($turn (local.get $angle)) ($turn ($upperHalf (local.get $angle)))))
          (local.set $angle
            (v128.and
              (i32x4.add
                ($times255 (local.get $x))
                (i32x4.splat (local.get $shift)))
              (v128.const i32x4 255 255 255 255)))
          ;; Back: six times the angle over 255, its whole part and its fraction. (x * 32897) >> 23 is x / 255 here.
          (local.set $angle (i32x4.mul (local.get $angle) (v128.const i32x4 6 6 6 6)))
          (local.set $sixth
            (i32x4.shr_u (i32x4.mul (local.get $angle) (v128.const i32x4 32897 32897 32897 32897)) (i32.const 23)))
          (local.set $f
            (f32x4.div
              (f32x4.convert_i32x4_s
                (i32x4.sub (local.get $angle) (i32x4.mul (local.get $sixth) (v128.const i32x4 255 255 255 255))))
              (v128.const f32x4 255 255 255 255)))
          (local.set $fs (f32x4.div (f32x4.convert_i32x4_s (local.get $sat)) (v128.const f32x4 255 255 255 255)))
          ;; Never near enough to a half for float32 to matter.
          (local.set $low
            (i32x4.trunc_sat_f32x4_s
              (f32x4.add
                (f32x4.mul (f32x4.convert_i32x4_s (local.get $max)) (f32x4.sub (v128.const f32x4 1 1 1 1) (local.get $fs)))
                (v128.const f32x4 0.5 0.5 0.5 0.5))))
          (local.set $odd
            (i32x4.shr_s (i32x4.shl (local.get $sixth) (i32.const 31)) (i32.const 31)))
          (local.set $ramp
            ($bothHalves
              ($ramp (local.get $max) (local.get $fs) (local.get $f) (local.get $odd))
              ($ramp ($upperHalf (local.get $max)) ($upperHalf (local.get $fs)) ($upperHalf (local.get $f))
                ($upperHalf (local.get $odd)))))
          ;; The sixth after the last is the first again.
          (local.set $sixth
            (v128.andnot (local.get $sixth) (i32x4.eq (local.get $sixth) (v128.const i32x4 6 6 6 6))))
          (local.set $grey (i32x4.eq (local.get $sat) (v128.const i32x4 0 0 0 0)))
          ;; Green is what red is two sixths later, blue two more.
          ($store4 (local.get $p)
            (v128.bitselect
              (local.get $max)
              ($channel (local.get $sixth) (local.get $max) (local.get $ramp) (local.get $low))
              (local.get $grey)))
          (local.set $sixth ($back (local.get $sixth)))
          ($store4 (local.get $g)
            (v128.bitselect
              (local.get $max)
              ($channel (local.get $sixth) (local.get $max) (local.get $ramp) (local.get $low))
              (local.get $grey)))
          (local.set $sixth ($back (local.get $sixth)))
          ($store4 (local.get $b)
            (v128.bitselect
              (local.get $max)
              ($channel (local.get $sixth) (local.get $max) (local.get $ramp) (local.get $low))
              (local.get $grey)))
          (local.set $g (i32.add (local.get $g) (i32.const 4)))
          (local.set $b (i32.add (local.get $b) (i32.const 4)))
          (br_if $four (i32.lt_u (local.tee $p (i32.add (local.get $p) (i32.const 4))) (local.get $end))))
        (local.set $p (local.get $b))
        (local.set $rows (i32.sub (local.get $rows) (i32.const 1)))
        (br $row))))

  ;; 16 bytes of a box filter, from sums of the inner bytes and of the two outermost ones, 16 bits each. $u and $l are the weights in
  ;; 2^24, their upper and lower 12 bits, of (inner, outer). Changes the local $two.
  (macro $box (param $in0) (param $in1) (param $out0) (param $out1)
    (i8x16.narrow_i16x8_u
      (i16x8.narrow_i32x4_s
        ($weighted (i8x16.shuffle 0 1 16 17 2 3 18 19 4 5 20 21 6 7 22 23 $in0 $out0))
        ($weighted (i8x16.shuffle 8 9 24 25 10 11 26 27 12 13 28 29 14 15 30 31 $in0 $out0)))
      (i16x8.narrow_i32x4_s
        ($weighted (i8x16.shuffle 0 1 16 17 2 3 18 19 4 5 20 21 6 7 22 23 $in1 $out1))
        ($weighted (i8x16.shuffle 8 9 24 25 10 11 26 27 12 13 28 29 14 15 30 31 $in1 $out1)))))

  (macro $weighted (param $pairs)
    (i32x4.shr_u
      (i32x4.add
        (i32x4.add
          (i32x4.shl (i32x4.dot_i16x8_s (local.tee $two $pairs) (local.get $u)) (i32.const 12))
          (i32x4.dot_i16x8_s (local.get $two) (local.get $l)))
        (v128.const i32x4 0x800000 0x800000 0x800000 0x800000))
      (i32.const 24)))

  ;; $passes box filters along each line, edges repeated. $temp holds a line with 32 bytes on either side; $reach < 31.
  (func (export "blurLines") (param $p i32) (param $lines i32) (param $columns i32) (param $stride i32) (param $reach i32)
      (param $upper i32) (param $lower i32) (param $passes i32) (param $temp i32)
    (local $pass i32) (local $x i32) (local $k i32) (local $q i32) (local $u v128) (local $l v128)
    (local $v v128) (local $in0 v128) (local $in1 v128) (local $out0 v128) (local $out1 v128) (local $two v128)
    (local.set $u (i32x4.splat (local.get $upper)))
    (local.set $l (i32x4.splat (local.get $lower)))
    (local.set $temp (i32.add (local.get $temp) (i32.const 32)))
    (block $done
      (loop $line
        (br_if $done (i32.eqz (local.get $lines)))
        (local.set $pass (local.get $passes))
        (loop $again
          (local.set $x (i32.const 0))
          (loop $copy
            (v128.store (i32.add (local.get $temp) (local.get $x)) (v128.load (i32.add (local.get $p) (local.get $x))))
            (br_if $copy (i32.lt_u (local.tee $x (i32.add (local.get $x) (i32.const 16))) (local.get $stride))))
          (local.set $k (i32.const 0))
          (loop $pad
            (i32.store8 (i32.sub (i32.sub (local.get $temp) (i32.const 1)) (local.get $k)) (i32.load8_u (local.get $p)))
            (i32.store8
              (i32.add (i32.add (local.get $temp) (local.get $columns)) (local.get $k))
              (i32.load8_u (i32.sub (i32.add (local.get $p) (local.get $columns)) (i32.const 1))))
            (br_if $pad (i32.le_u (local.tee $k (i32.add (local.get $k) (i32.const 1))) (local.get $reach))))
          (local.set $x (i32.const 0))
          (loop $sixteen
            (local.set $q (i32.sub (i32.add (local.get $temp) (local.get $x)) (local.get $reach)))
            (local.set $v (v128.load (i32.sub (local.get $q) (i32.const 1))))
            (local.set $out0 (i16x8.extend_low_i8x16_u (local.get $v)))
            (local.set $out1 (i16x8.extend_high_i8x16_u (local.get $v)))
            (local.set $in0 (v128.const i32x4 0 0 0 0))
            (local.set $in1 (local.get $in0))
            (local.set $k (i32.shl (local.get $reach) (i32.const 1)))
            (loop $inner
              (local.set $v (v128.load (local.get $q)))
              (local.set $in0 (i16x8.add (local.get $in0) (i16x8.extend_low_i8x16_u (local.get $v))))
              (local.set $in1 (i16x8.add (local.get $in1) (i16x8.extend_high_i8x16_u (local.get $v))))
              (local.set $q (i32.add (local.get $q) (i32.const 1)))
              (br_if $inner (i32.ge_s (local.tee $k (i32.sub (local.get $k) (i32.const 1))) (i32.const 0))))
            (local.set $v (v128.load (local.get $q)))
            (v128.store (i32.add (local.get $p) (local.get $x))
              ($box
                (local.get $in0) (local.get $in1)
                (i16x8.add (local.get $out0) (i16x8.extend_low_i8x16_u (local.get $v)))
                (i16x8.add (local.get $out1) (i16x8.extend_high_i8x16_u (local.get $v)))))
            (br_if $sixteen (i32.lt_u (local.tee $x (i32.add (local.get $x) (i32.const 16))) (local.get $stride))))
          (br_if $again (local.tee $pass (i32.sub (local.get $pass) (i32.const 1)))))
        (local.set $p (i32.add (local.get $p) (local.get $stride)))
        (local.set $lines (i32.sub (local.get $lines) (i32.const 1)))
        (br $line))))

  ;; The byte of a column in a row, the first or last where there is no such row. Changes the local $r.
  (macro $rowAt (param $column) (param $row)
    (i32.add $column
      (i32.mul (local.get $pitch)
        (select (local.get $last)
          (local.tee $r (select (i32.const 0) $row (i32.lt_s $row (i32.const 0))))
          (i32.gt_s (local.get $r) (local.get $last))))))

  ;; One box filter along the columns of rows of $pitch bytes, edges repeated, into other memory.
  (func (export "blurColumns") (param $src i32) (param $dst i32) (param $rows i32) (param $pitch i32) (param $reach i32)
      (param $upper i32) (param $lower i32)
    (local $y i32) (local $x i32) (local $k i32) (local $last i32) (local $edge i32) (local $r i32) (local $u v128) (local $l v128)
    (local $v v128) (local $in0 v128) (local $in1 v128) (local $out0 v128) (local $out1 v128) (local $two v128)
    (local.set $u (i32x4.splat (local.get $upper)))
    (local.set $l (i32x4.splat (local.get $lower)))
    (local.set $last (i32.sub (local.get $rows) (i32.const 1)))
    (loop $row
      (local.set $x (i32.const 0))
      (loop $sixteen
        (local.set $edge (i32.add (local.get $src) (local.get $x)))
        (local.set $k (i32.sub (i32.sub (local.get $y) (local.get $reach)) (i32.const 1)))
        (local.set $v (v128.load ($rowAt (local.get $edge) (local.get $k))))
        (local.set $out0 (i16x8.extend_low_i8x16_u (local.get $v)))
        (local.set $out1 (i16x8.extend_high_i8x16_u (local.get $v)))
        (local.set $in0 (v128.const i32x4 0 0 0 0))
        (local.set $in1 (local.get $in0))
        (local.set $k (i32.add (local.get $k) (i32.const 1)))
        (loop $inner
          (local.set $v (v128.load ($rowAt (local.get $edge) (local.get $k))))
          (local.set $in0 (i16x8.add (local.get $in0) (i16x8.extend_low_i8x16_u (local.get $v))))
          (local.set $in1 (i16x8.add (local.get $in1) (i16x8.extend_high_i8x16_u (local.get $v))))
          (br_if $inner
            (i32.le_s (local.tee $k (i32.add (local.get $k) (i32.const 1))) (i32.add (local.get $y) (local.get $reach)))))
        (local.set $v (v128.load ($rowAt (local.get $edge) (local.get $k))))
        (v128.store (local.get $dst)
          ($box
            (local.get $in0) (local.get $in1)
            (i16x8.add (local.get $out0) (i16x8.extend_low_i8x16_u (local.get $v)))
            (i16x8.add (local.get $out1) (i16x8.extend_high_i8x16_u (local.get $v)))))
        (local.set $dst (i32.add (local.get $dst) (i32.const 16)))
        (br_if $sixteen (i32.lt_u (local.tee $x (i32.add (local.get $x) (i32.const 16))) (local.get $pitch))))
      (br_if $row (i32.lt_s (local.tee $y (i32.add (local.get $y) (i32.const 1))) (local.get $rows)))))

  ;; One channel as floats from a table of 256, rows one behind the other, perhaps mirrored.
  (func (export "lookUp") (param $p i32) (param $rows i32) (param $columns i32) (param $pitch i32) (param $dst i32) (param $table i32)
      (param $flip i32)
    (local $q i32) (local $step i32) (local $end i32)
    (local.set $step (select (i32.const -1) (i32.const 1) (local.get $flip)))
    (block $done
      (loop $row
        (br_if $done (i32.eqz (local.get $rows)))
        (local.set $q
          (i32.add (local.get $p) (select (i32.sub (local.get $columns) (i32.const 1)) (i32.const 0) (local.get $flip))))
        (local.set $end (i32.add (local.get $dst) (i32.shl (local.get $columns) (i32.const 2))))
        (loop $column
          (f32.store (local.get $dst)
            (f32.load (i32.add (local.get $table) (i32.shl (i32.load8_u (local.get $q)) (i32.const 2)))))
          (local.set $q (i32.add (local.get $q) (local.get $step)))
          (br_if $column (i32.lt_u (local.tee $dst (i32.add (local.get $dst) (i32.const 4))) (local.get $end))))
        (local.set $p (i32.add (local.get $p) (local.get $pitch)))
        (local.set $rows (i32.sub (local.get $rows) (i32.const 1)))
        (br $row))))

  ;; What follows does the same with less arithmetic, for --transforms fast: off by one in some bytes.

  ;; narrow with weights of 2^14. The table has for each column an offset and $pairs times two weights of 16 bits.
  (func (export "narrowFast") (param $src i32) (param $pitch i32) (param $rows i32) (param $dst i32) (param $stride i32)
      (param $columns i32) (param $table i32) (param $pairs i32)
    (local $t i32) (local $tEnd i32) (local $p i32) (local $o i32) (local $oEnd i32) (local $sum v128)
    (block $done
      (loop $row
        (br_if $done (i32.eqz (local.get $rows)))
        (local.set $t (local.get $table))
        (local.set $o (local.get $dst))
        (local.set $oEnd (i32.add (local.get $dst) (local.get $columns)))
        (loop $column
          (local.set $p (i32.add (local.get $src) (i32.load (local.get $t))))
          (local.set $t (i32.add (local.get $t) (i32.const 4)))
          (local.set $tEnd (i32.add (local.get $t) (i32.shl (local.get $pairs) (i32.const 2))))
          (local.set $sum (v128.const i32x4 0x2000 0x2000 0x2000 0x2000))
          (loop $pair
            (local.set $sum
              (i32x4.add (local.get $sum)
                (i32x4.dot_i16x8_s
                  (i8x16.swizzle (v128.load64_zero (local.get $p))
                    (v128.const i8x16 0 128 3 128 1 128 4 128 2 128 5 128 128 128 128 128))
                  (v128.load32_splat (local.get $t)))))
            (local.set $p (i32.add (local.get $p) (i32.const 6)))
            (br_if $pair (i32.lt_u (local.tee $t (i32.add (local.get $t) (i32.const 4))) (local.get $tEnd))))
          (local.set $sum (i32x4.shr_s (local.get $sum) (i32.const 14)))
          (local.set $sum
            (i8x16.narrow_i16x8_u (i16x8.narrow_i32x4_s (local.get $sum) (local.get $sum)) (v128.const i32x4 0 0 0 0)))
          (v128.store8_lane 0 (local.get $o) (local.get $sum))
          (v128.store8_lane 1 (i32.add (local.get $o) (local.get $stride)) (local.get $sum))
          (v128.store8_lane 2 (i32.add (local.get $o) (i32.shl (local.get $stride) (i32.const 1))) (local.get $sum))
          (br_if $column (i32.lt_u (local.tee $o (i32.add (local.get $o) (i32.const 1))) (local.get $oEnd))))
        (local.set $src (i32.add (local.get $src) (local.get $pitch)))
        (local.set $dst (i32.add (local.get $dst) (i32.mul (local.get $stride) (i32.const 3))))
        (local.set $rows (i32.sub (local.get $rows) (i32.const 1)))
        (br $row))))

  ;; Sum of products of two vectors of bytes, interleaved, with a pair of weights.
  (macro $addTwo (param $sum) (param $extend) (param $bytes)
    (i32x4.add $sum (i32x4.dot_i16x8_s ($extend $bytes) (local.get $w))))

  ;; 16 bytes of the sums $h0 to $h3 in 2^14.
  (macro $bytes14
    (i8x16.narrow_i16x8_u
      (i16x8.narrow_i32x4_s (i32x4.shr_s (local.get $h0) (i32.const 14)) (i32x4.shr_s (local.get $h1) (i32.const 14)))
      (i16x8.narrow_i32x4_s (i32x4.shr_s (local.get $h2) (i32.const 14)) (i32x4.shr_s (local.get $h3) (i32.const 14)))))

  (macro $half14 (v128.const i32x4 0x2000 0x2000 0x2000 0x2000))

  ;; combineRows with such weights.
  (func (export "combineRowsFast") (param $src i32) (param $pitch i32) (param $dst i32) (param $rows i32) (param $table i32)
      (param $pairs i32)
    (local $t i32) (local $tEnd i32) (local $p i32) (local $first i32) (local $end i32)
    (local $a v128) (local $b v128) (local $two v128) (local $w v128)
    (local $h0 v128) (local $h1 v128) (local $h2 v128) (local $h3 v128)
    (block $done
      (loop $row
        (br_if $done (i32.eqz (local.get $rows)))
        (local.set $first (i32.add (local.get $src) (i32.load (local.get $table))))
        (local.set $tEnd (i32.add (local.get $table) (i32.add (i32.const 4) (i32.shl (local.get $pairs) (i32.const 2)))))
        (local.set $end (i32.add (local.get $dst) (local.get $pitch)))
        (loop $columns
          (local.set $h0 ($half14))
          (local.set $h1 (local.get $h0))
          (local.set $h2 (local.get $h0))
          (local.set $h3 (local.get $h0))
          (local.set $p (local.get $first))
          (local.set $t (i32.add (local.get $table) (i32.const 4)))
          (loop $pair
            (local.set $a (v128.load (local.get $p)))
            (local.set $b (v128.load (i32.add (local.get $p) (local.get $pitch))))
            (local.set $w (v128.load32_splat (local.get $t)))
            (local.set $two (i8x16.shuffle 0 16 1 17 2 18 3 19 4 20 5 21 6 22 7 23 (local.get $a) (local.get $b)))
            (local.set $h0 ($addTwo (local.get $h0) i16x8.extend_low_i8x16_u (local.get $two)))
            (local.set $h1 ($addTwo (local.get $h1) i16x8.extend_high_i8x16_u (local.get $two)))
            (local.set $two (i8x16.shuffle 8 24 9 25 10 26 11 27 12 28 13 29 14 30 15 31 (local.get $a) (local.get $b)))
            (local.set $h2 ($addTwo (local.get $h2) i16x8.extend_low_i8x16_u (local.get $two)))
            (local.set $h3 ($addTwo (local.get $h3) i16x8.extend_high_i8x16_u (local.get $two)))
            (local.set $p (i32.add (local.get $p) (i32.shl (local.get $pitch) (i32.const 1))))
            (br_if $pair (i32.lt_u (local.tee $t (i32.add (local.get $t) (i32.const 4))) (local.get $tEnd))))
          (v128.store (local.get $dst) ($bytes14))
          (local.set $first (i32.add (local.get $first) (i32.const 16)))
          (br_if $columns (i32.lt_u (local.tee $dst (i32.add (local.get $dst) (i32.const 16))) (local.get $end))))
        (local.set $table (local.get $tEnd))
        (local.set $rows (i32.sub (local.get $rows) (i32.const 1)))
        (br $row))))

  ;; A channel in HSV, from where it stands on the circle, in sixths: max - max * saturation * clamp(min(k, 4 - k), 0, 1).
  ;; Changes the local $n.
  (macro $onCircle (param $offset)
    (i32x4.trunc_sat_f32x4_s
      (f32x4.sub
        (local.get $half)
        (f32x4.mul
          (local.get $depth)
          (f32x4.max (v128.const f32x4 0 0 0 0)
            (f32x4.min (v128.const f32x4 1 1 1 1)
              (f32x4.min
                (local.tee $n
                  (f32x4.sub
                    (local.tee $n (f32x4.add (local.get $x) $offset))
                    (v128.and (v128.const f32x4 6 6 6 6) (f32x4.ge (local.get $n) (v128.const f32x4 6 6 6 6)))))
                (f32x4.sub (v128.const f32x4 4 4 4 4) (local.get $n)))))))))

  ;; turnHue in float32 throughout. Hue and saturation are truncated to bytes on the way, as there.
  (func (export "turnHueFast") (param $p i32) (param $rows i32) (param $stride i32) (param $shift f32)
    (local $end i32) (local $g i32) (local $b i32)
    (local $red v128) (local $green v128) (local $blue v128) (local $max v128) (local $chroma v128)
    (local $isRed v128) (local $isGreen v128) (local $x v128) (local $n v128) (local $half v128) (local $depth v128)
    (block $done
      (loop $row
        (br_if $done (i32.eqz (local.get $rows)))
        (local.set $g (i32.add (local.get $p) (local.get $stride)))
        (local.set $b (i32.add (local.get $g) (local.get $stride)))
        (local.set $end (local.get $g))
        (loop $four
          (local.set $red (f32x4.convert_i32x4_s ($four (local.get $p))))
          (local.set $green (f32x4.convert_i32x4_s ($four (local.get $g))))
          (local.set $blue (f32x4.convert_i32x4_s ($four (local.get $b))))
          (local.set $max (f32x4.pmax (f32x4.pmax (local.get $red) (local.get $green)) (local.get $blue)))
          (local.set $chroma
            (f32x4.sub (local.get $max) (f32x4.pmin (f32x4.pmin (local.get $red) (local.get $green)) (local.get $blue))))
          (local.set $isRed (f32x4.eq (local.get $red) (local.get $max)))
          (local.set $isGreen (f32x4.eq (local.get $green) (local.get $max)))
          ;; Sixths from red; 255 / 6 bytes each. Where there is no colour nothing is divided by nothing.
          (local.set $x
            (f32x4.mul
              (v128.const f32x4 42.5 42.5 42.5 42.5)
              (f32x4.add
                (v128.andnot
                  (v128.bitselect (v128.const f32x4 2 2 2 2) (v128.const f32x4 4 4 4 4) (local.get $isGreen))
                  (local.get $isRed))
                (f32x4.div
                  (v128.bitselect
                    (f32x4.sub (local.get $green) (local.get $blue))
                    (v128.bitselect
                      (f32x4.sub (local.get $blue) (local.get $red))
                      (f32x4.sub (local.get $red) (local.get $green))
                      (local.get $isGreen))
                    (local.get $isRed))
                  (f32x4.pmax (local.get $chroma) (v128.const f32x4 1 1 1 1))))))
          (local.set $x
            (f32x4.add
              (f32x4.floor
                (f32x4.add
                  (local.get $x)
                  (v128.and (v128.const f32x4 255 255 255 255) (f32x4.lt (local.get $x) (v128.const f32x4 0 0 0 0)))))
              (f32x4.splat (local.get $shift))))
          (local.set $x
            (f32x4.mul
              (f32x4.sub
                (local.get $x)
                (v128.and (v128.const f32x4 256 256 256 256) (f32x4.ge (local.get $x) (v128.const f32x4 256 256 256 256))))
              (v128.const f32x4 0.023529412 0.023529412 0.023529412 0.023529412)))
          (local.set $depth
            (f32x4.mul
              (f32x4.mul (local.get $max) (v128.const f32x4 0.003921569 0.003921569 0.003921569 0.003921569))
              (f32x4.floor
                (f32x4.div
                  (f32x4.mul (local.get $chroma) (v128.const f32x4 255 255 255 255))
                  (f32x4.pmax (local.get $max) (v128.const f32x4 1 1 1 1))))))
          (local.set $half (f32x4.add (local.get $max) (v128.const f32x4 0.5 0.5 0.5 0.5)))
          ($store4 (local.get $p) ($onCircle (v128.const f32x4 5 5 5 5)))
          ($store4 (local.get $g) ($onCircle (v128.const f32x4 3 3 3 3)))
          ($store4 (local.get $b) ($onCircle (v128.const f32x4 1 1 1 1)))
          (local.set $g (i32.add (local.get $g) (i32.const 4)))
          (local.set $b (i32.add (local.get $b) (i32.const 4)))
          (br_if $four (i32.lt_u (local.tee $p (i32.add (local.get $p) (i32.const 4))) (local.get $end))))
        (local.set $p (local.get $b))
        (local.set $rows (i32.sub (local.get $rows) (i32.const 1)))
        (br $row))))

  ;; Lines with 16 bytes on either side, of which the inner ones repeat the edges.
  (func (export "padLines") (param $p i32) (param $lines i32) (param $columns i32) (param $stride i32) (param $dst i32)
    (local $x i32) (local $o i32)
    (block $done
      (loop $line
        (br_if $done (i32.eqz (local.get $lines)))
        (local.set $x (i32.const 0))
        (local.set $o (i32.add (local.get $dst) (i32.const 16)))
        (v128.store (local.get $dst) (v128.load8_splat (local.get $p)))
        (loop $copy
          (v128.store (i32.add (local.get $o) (local.get $x)) (v128.load (i32.add (local.get $p) (local.get $x))))
          (br_if $copy (i32.lt_u (local.tee $x (i32.add (local.get $x) (i32.const 16))) (local.get $stride))))
        (v128.store
          (i32.add (local.get $o) (local.get $columns))
          (v128.load8_splat (i32.sub (i32.add (local.get $p) (local.get $columns)) (i32.const 1))))
        (local.set $p (i32.add (local.get $p) (local.get $stride)))
        (local.set $dst (i32.add (local.get $dst) (i32.add (local.get $stride) (i32.const 32))))
        (local.set $lines (i32.sub (local.get $lines) (i32.const 1)))
        (br $line))))

  ;; Two bytes, $place - $away and $place + $away, added up: eight of 16 bits.
  (macro $bothSides (param $extend) (param $away)
    (i16x8.add
      ($extend (v128.load (i32.sub (local.get $p) $away)))
      ($extend (v128.load (i32.add (local.get $p) $away)))))

  ;; A symmetric filter over bytes that lie $step apart, $groups of two distances each; weights of 2^14, two of 16 bits, the first of
  ;; them half of the centre's.
  (func (export "smooth") (param $p i32) (param $dst i32) (param $bytes i32) (param $step i32) (param $groups i32) (param $weights i32)
    (local $end i32) (local $t i32) (local $tEnd i32) (local $near i32) (local $far i32)
    (local $a v128) (local $b v128) (local $w v128)
    (local $h0 v128) (local $h1 v128) (local $h2 v128) (local $h3 v128)
    (local.set $end (i32.add (local.get $dst) (local.get $bytes)))
    (local.set $tEnd (i32.add (local.get $weights) (i32.shl (local.get $groups) (i32.const 2))))
    (loop $sixteen
      (local.set $h0 ($half14))
      (local.set $h1 (local.get $h0))
      (local.set $h2 (local.get $h0))
      (local.set $h3 (local.get $h0))
      (local.set $near (i32.const 0))
      (local.set $t (local.get $weights))
      (loop $group
        (local.set $far (i32.add (local.get $near) (local.get $step)))
        (local.set $w (v128.load32_splat (local.get $t)))
        (local.set $a ($bothSides i16x8.extend_low_i8x16_u (local.get $near)))
        (local.set $b ($bothSides i16x8.extend_low_i8x16_u (local.get $far)))
        (local.set $h0
          (i32x4.add (local.get $h0)
            (i32x4.dot_i16x8_s
              (i8x16.shuffle 0 1 16 17 2 3 18 19 4 5 20 21 6 7 22 23 (local.get $a) (local.get $b)) (local.get $w))))
        (local.set $h1
          (i32x4.add (local.get $h1)
            (i32x4.dot_i16x8_s
              (i8x16.shuffle 8 9 24 25 10 11 26 27 12 13 28 29 14 15 30 31 (local.get $a) (local.get $b)) (local.get $w))))
        (local.set $a ($bothSides i16x8.extend_high_i8x16_u (local.get $near)))
        (local.set $b ($bothSides i16x8.extend_high_i8x16_u (local.get $far)))
        (local.set $h2
          (i32x4.add (local.get $h2)
            (i32x4.dot_i16x8_s
              (i8x16.shuffle 0 1 16 17 2 3 18 19 4 5 20 21 6 7 22 23 (local.get $a) (local.get $b)) (local.get $w))))
        (local.set $h3
          (i32x4.add (local.get $h3)
            (i32x4.dot_i16x8_s
              (i8x16.shuffle 8 9 24 25 10 11 26 27 12 13 28 29 14 15 30 31 (local.get $a) (local.get $b)) (local.get $w))))
        (local.set $near (i32.add (local.get $far) (local.get $step)))
        (br_if $group (i32.lt_u (local.tee $t (i32.add (local.get $t) (i32.const 4))) (local.get $tEnd))))
      (v128.store (local.get $dst) ($bytes14))
      (local.set $p (i32.add (local.get $p) (i32.const 16)))
      (br_if $sixteen (i32.lt_u (local.tee $dst (i32.add (local.get $dst) (i32.const 16))) (local.get $end)))))

  ;; One channel as floats: byte * scale + offset; columns a multiple of 4.
  (func (export "scale") (param $p i32) (param $rows i32) (param $columns i32) (param $pitch i32) (param $dst i32) (param $scale f32)
      (param $offset f32) (param $flip i32)
    (local $q i32) (local $step i32) (local $end i32) (local $s v128) (local $o v128) (local $order v128)
    (local.set $s (f32x4.splat (local.get $scale)))
    (local.set $o (f32x4.splat (local.get $offset)))
    (local.set $step (select (i32.const -4) (i32.const 4) (local.get $flip)))
    (local.set $order
      (select
        (v128.const i8x16 3 128 128 128 2 128 128 128 1 128 128 128 0 128 128 128)
        (v128.const i8x16 0 128 128 128 1 128 128 128 2 128 128 128 3 128 128 128)
        (local.get $flip)))
    (block $done
      (loop $row
        (br_if $done (i32.eqz (local.get $rows)))
        (local.set $q
          (i32.add (local.get $p) (select (i32.sub (local.get $columns) (i32.const 4)) (i32.const 0) (local.get $flip))))
        (local.set $end (i32.add (local.get $dst) (i32.shl (local.get $columns) (i32.const 2))))
        (loop $four
          (v128.store (local.get $dst)
            (f32x4.add
              (f32x4.mul
                (f32x4.convert_i32x4_s (i8x16.swizzle (v128.load32_zero (local.get $q)) (local.get $order)))
                (local.get $s))
              (local.get $o)))
          (local.set $q (i32.add (local.get $q) (local.get $step)))
          (br_if $four (i32.lt_u (local.tee $dst (i32.add (local.get $dst) (i32.const 16))) (local.get $end))))
        (local.set $p (i32.add (local.get $p) (local.get $pitch)))
        (local.set $rows (i32.sub (local.get $rows) (i32.const 1)))
        (br $row)))))
