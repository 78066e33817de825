;; Many numbers at once for RandomStream, bit for bit those of its single calls. Compiled into random-kernels-binary.ts by
;; `npm run kernels -w @slip/core`; a test holds the two together.
(module
  ;; 0: the state of the stream (a, b, c, counter); 16: a number left over; 24: whether there is one; 64: what was drawn, float32, 4096
  ;; of them; from 0x8000 on points of the circle, 2048 and two more: u, from 0x10000 v, from 0x18000 s = u^2 + v^2, from 0x20000 the factor
  (memory (export "memory") 3)

  ;; The next word of sfc32.
  (macro $draw (param $word)
    (block
      (local.set $word (i32.add (i32.add (local.get $a) (local.get $b)) (local.get $counter)))
      (local.set $counter (i32.add (local.get $counter) (i32.const 1)))
      (local.set $a (i32.xor (local.get $b) (i32.shr_u (local.get $b) (i32.const 9))))
      (local.set $b (i32.add (local.get $c) (i32.shl (local.get $c) (i32.const 3))))
      (local.set $c (i32.add (i32.rotl (local.get $c) (i32.const 21)) (local.get $word)))))

  ;; Two words as a number of 53 bits in [-1, 1).
  (macro $unit (param $high) (param $low)
    (f64.add (f64.const -1)
      (f64.mul (f64.const 0x1p-52)
        (f64.convert_i64_u (i64.or
          (i64.shl (i64.extend_i32_u (i32.shr_u (local.get $high) (i32.const 5))) (i64.const 26))
          (i64.extend_i32_u (i32.shr_u (local.get $low) (i32.const 6))))))))

  ;; Keeps what is not beyond the limit.
  (macro $keep (param $value)
    (block
      (if (f64.le (f64.abs (local.get $value)) (local.get $limit))
        (then
          (f32.store (local.get $at) (f32.demote_f64 (local.get $value)))
          (local.set $at (i32.add (local.get $at) (i32.const 4)))))))

  ;; The natural logarithm of a normal number in (0, 1): that of fdlibm (Sun Microsystems, 1993), which Math.log is too. The argument
  ;; is 2^k (1 + f) with 1 + f between sqrt(2) / 2 and sqrt(2); a polynomial in s = f / (2 + f).
  (func $log (param $x f64) (result f64)
    (local $bits i64) (local $high i32) (local $carry i32)
    (local $k f64) (local $f f64) (local $s f64) (local $z f64) (local $w f64) (local $r f64) (local $half f64)
    (local.set $bits (i64.reinterpret_f64 (local.get $x)))
    (local.set $high (i32.and (i32.wrap_i64 (i64.shr_u (local.get $bits) (i64.const 32))) (i32.const 0xfffff)))
    (local.set $carry (i32.and (i32.add (local.get $high) (i32.const 0x95f64)) (i32.const 0x100000)))
    (local.set $k (f64.convert_i32_s (i32.add
      (i32.sub (i32.wrap_i64 (i64.shr_u (local.get $bits) (i64.const 52))) (i32.const 1023))
      (i32.shr_u (local.get $carry) (i32.const 20)))))
    (local.set $f (f64.sub
      (f64.reinterpret_i64 (i64.or
        (i64.and (local.get $bits) (i64.const 0xfffffffffffff))
        (i64.shl (i64.extend_i32_u (i32.xor (local.get $carry) (i32.const 0x3ff00000))) (i64.const 32))))
      (f64.const 1)))
    ;; |f| < 2^-20
    (if (i32.lt_u (i32.and (i32.add (local.get $high) (i32.const 2)) (i32.const 0xfffff)) (i32.const 3))
      (then
        (local.set $r (f64.mul (f64.mul (local.get $f) (local.get $f))
          (f64.sub (f64.const 0.5) (f64.mul (f64.const 0.33333333333333333) (local.get $f)))))
        (return (f64.sub
          (f64.mul (local.get $k) (f64.const 6.93147180369123816490e-01))
          (f64.sub (f64.sub (local.get $r) (f64.mul (local.get $k) (f64.const 1.90821492927058770002e-10)))
            (local.get $f))))))
    (local.set $s (f64.div (local.get $f) (f64.add (f64.const 2) (local.get $f))))
    (local.set $z (f64.mul (local.get $s) (local.get $s)))
    (local.set $w (f64.mul (local.get $z) (local.get $z)))
    (local.set $r (f64.add
      (f64.mul (local.get $z) (f64.add (f64.const 6.666666666666735130e-01) (f64.mul (local.get $w)
        (f64.add (f64.const 2.857142874366239149e-01) (f64.mul (local.get $w)
          (f64.add (f64.const 1.818357216161805012e-01)
            (f64.mul (local.get $w) (f64.const 1.479819860511658591e-01))))))))
      (f64.mul (local.get $w) (f64.add (f64.const 3.999999999940941908e-01) (f64.mul (local.get $w)
        (f64.add (f64.const 2.222219843214978396e-01)
          (f64.mul (local.get $w) (f64.const 1.531383769920937332e-01))))))))
    (if (result f64)
      (i32.gt_s
        (i32.or (i32.sub (local.get $high) (i32.const 0x6147a)) (i32.sub (i32.const 0x6b851) (local.get $high)))
        (i32.const 0))
      (then
        (local.set $half (f64.mul (f64.mul (f64.const 0.5) (local.get $f)) (local.get $f)))
        (f64.sub
          (f64.mul (local.get $k) (f64.const 6.93147180369123816490e-01))
          (f64.sub
            (f64.sub (local.get $half)
              (f64.add (f64.mul (local.get $s) (f64.add (local.get $half) (local.get $r)))
                (f64.mul (local.get $k) (f64.const 1.90821492927058770002e-10))))
            (local.get $f))))
      (else
        (f64.sub
          (f64.mul (local.get $k) (f64.const 6.93147180369123816490e-01))
          (f64.sub
            (f64.sub (f64.mul (local.get $s) (f64.sub (local.get $f) (local.get $r)))
              (f64.mul (local.get $k) (f64.const 1.90821492927058770002e-10)))
            (local.get $f))))))

  (func (export "log") (param $x f64) (result f64) (call $log (local.get $x)))

  ;; The factors sqrt(-2 log(s) / s) of the first `bytes` of s, two at a time: $log in lanes, both of its ends computed and one taken.
  (func $factors (param $bytes i32)
    (local $at i32)
    (local $x v128) (local $high v128) (local $carry v128) (local $k v128) (local $f v128) (local $s v128)
    (local $z v128) (local $w v128) (local $r v128) (local $half v128) (local $low v128) (local $log v128)
    (block $done
      (loop $pairs
        (br_if $done (i32.ge_u (local.get $at) (local.get $bytes)))
        (local.set $x (v128.load offset=0x18000 (local.get $at)))
        (local.set $high (v128.and (i64x2.shr_u (local.get $x) (i32.const 32)) (i64x2.splat (i64.const 0xfffff))))
        (if (v128.any_true (i64x2.lt_s
            (v128.and (i64x2.add (local.get $high) (i64x2.splat (i64.const 2))) (i64x2.splat (i64.const 0xfffff)))
            (i64x2.splat (i64.const 3))))
          (then
            (local.set $log (f64x2.replace_lane 1
              (f64x2.splat (call $log (f64x2.extract_lane 0 (local.get $x))))
              (call $log (f64x2.extract_lane 1 (local.get $x))))))
          (else
            (local.set $carry (v128.and (i64x2.add (local.get $high) (i64x2.splat (i64.const 0x95f64)))
              (i64x2.splat (i64.const 0x100000))))
            (local.set $k (i64x2.add
              (i64x2.sub (i64x2.shr_u (local.get $x) (i32.const 52)) (i64x2.splat (i64.const 1023)))
              (i64x2.shr_u (local.get $carry) (i32.const 20))))
            (local.set $k (f64x2.convert_low_i32x4_s
              (i8x16.shuffle 0 1 2 3 8 9 10 11 0 1 2 3 8 9 10 11 (local.get $k) (local.get $k))))
            (local.set $f (f64x2.sub
              (v128.or
                (v128.and (local.get $x) (i64x2.splat (i64.const 0xfffffffffffff)))
                (i64x2.shl (v128.xor (local.get $carry) (i64x2.splat (i64.const 0x3ff00000))) (i32.const 32)))
              (f64x2.splat (f64.const 1))))
            (local.set $s (f64x2.div (local.get $f) (f64x2.add (f64x2.splat (f64.const 2)) (local.get $f))))
            (local.set $z (f64x2.mul (local.get $s) (local.get $s)))
            (local.set $w (f64x2.mul (local.get $z) (local.get $z)))
            (local.set $r (f64x2.add
              (f64x2.mul (local.get $z) (f64x2.add (f64x2.splat (f64.const 6.666666666666735130e-01))
                (f64x2.mul (local.get $w) (f64x2.add (f64x2.splat (f64.const 2.857142874366239149e-01))
                  (f64x2.mul (local.get $w) (f64x2.add (f64x2.splat (f64.const 1.818357216161805012e-01))
                    (f64x2.mul (local.get $w) (f64x2.splat (f64.const 1.479819860511658591e-01)))))))))
              (f64x2.mul (local.get $w) (f64x2.add (f64x2.splat (f64.const 3.999999999940941908e-01))
                (f64x2.mul (local.get $w) (f64x2.add (f64x2.splat (f64.const 2.222219843214978396e-01))
                  (f64x2.mul (local.get $w) (f64x2.splat (f64.const 1.531383769920937332e-01)))))))))
            (local.set $half (f64x2.mul (f64x2.mul (f64x2.splat (f64.const 0.5)) (local.get $f)) (local.get $f)))
            (local.set $low (f64x2.mul (local.get $k) (f64x2.splat (f64.const 1.90821492927058770002e-10))))
            (local.set $log (f64x2.sub
              (f64x2.mul (local.get $k) (f64x2.splat (f64.const 6.93147180369123816490e-01)))
              (f64x2.sub
                (v128.bitselect
                  (f64x2.sub (local.get $half)
                    (f64x2.add (f64x2.mul (local.get $s) (f64x2.add (local.get $half) (local.get $r))) (local.get $low)))
                  (f64x2.sub (f64x2.mul (local.get $s) (f64x2.sub (local.get $f) (local.get $r))) (local.get $low))
                  (v128.and
                    (i64x2.gt_s (local.get $high) (i64x2.splat (i64.const 0x61479)))
                    (i64x2.lt_s (local.get $high) (i64x2.splat (i64.const 0x6b852)))))
                (local.get $f))))))
        (v128.store offset=0x20000 (local.get $at)
          (f64x2.sqrt (f64x2.div (f64x2.mul (f64x2.splat (f64.const -2)) (local.get $log)) (local.get $x))))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br $pairs))))

  ;; `count` numbers from address 64 on, 4096 at most (polar method of Box and Muller); those with a magnitude above `limit` are drawn again.
  (func (export "fillNormal") (param $count i32) (param $mean f64) (param $std f64) (param $limit f64)
    (local $a i32) (local $b i32) (local $c i32) (local $counter i32)
    (local $first i32) (local $second i32) (local $third i32) (local $fourth i32)
    (local $u f64) (local $v f64) (local $s f64) (local $factor f64) (local $value f64)
    (local $at i32) (local $end i32) (local $point i32) (local $points i32)
    (local.set $a (i32.load (i32.const 0)))
    (local.set $b (i32.load (i32.const 4)))
    (local.set $c (i32.load (i32.const 8)))
    (local.set $counter (i32.load (i32.const 12)))
    (local.set $at (i32.const 64))
    (local.set $end (i32.add (local.get $at) (i32.shl (local.get $count) (i32.const 2))))
    (if (i32.and (i32.load (i32.const 24)) (i32.ne (local.get $count) (i32.const 0)))
      (then
        (local.set $value (f64.add (local.get $mean) (f64.mul (local.get $std) (f64.load (i32.const 16)))))
        (i32.store (i32.const 24) (i32.const 0))
        ($keep $value)))
    (block $full
      (loop $rounds
        (br_if $full (i32.ge_u (local.get $at) (local.get $end)))
        ;; As many points as are needed where none is beyond the limit. Every one is stored; only the next place depends on it.
        (local.set $points (i32.shl
          (i32.shr_u (i32.add (i32.sub (local.get $end) (local.get $at)) (i32.const 4)) (i32.const 3)) (i32.const 3)))
        (local.set $point (i32.const 0))
        (loop $draws
          ($draw $first)
          ($draw $second)
          ($draw $third)
          ($draw $fourth)
          (local.set $u ($unit $first $second))
          (local.set $v ($unit $third $fourth))
          (local.set $s (f64.add (f64.mul (local.get $u) (local.get $u)) (f64.mul (local.get $v) (local.get $v))))
          (f64.store offset=0x8000 (local.get $point) (local.get $u))
          (f64.store offset=0x10000 (local.get $point) (local.get $v))
          (f64.store offset=0x18000 (local.get $point) (local.get $s))
          (local.set $point (i32.add (local.get $point)
            (i32.shl
              (i32.and (f64.gt (local.get $s) (f64.const 0)) (f64.lt (local.get $s) (f64.const 1)))
              (i32.const 3))))
          (br_if $draws (i32.lt_u (local.get $point) (local.get $points))))
        ;; For the second lane of an odd last point.
        (f64.store offset=0x18000 (local.get $points) (f64.const 0.25))
        (call $factors (local.get $points))
        (local.set $point (i32.const 0))
        (loop $values
          (local.set $factor (f64.load offset=0x20000 (local.get $point)))
          (local.set $u (f64.mul (f64.load offset=0x8000 (local.get $point)) (local.get $factor)))
          (local.set $v (f64.mul (f64.load offset=0x10000 (local.get $point)) (local.get $factor)))
          (local.set $value (f64.add (local.get $mean) (f64.mul (local.get $std) (local.get $u))))
          ($keep $value)
          (if (i32.eq (local.get $at) (local.get $end))
            (then
              (f64.store (i32.const 16) (local.get $v))
              (i32.store (i32.const 24) (i32.const 1)))
            (else
              (local.set $value (f64.add (local.get $mean) (f64.mul (local.get $std) (local.get $v))))
              ($keep $value)))
          (local.set $point (i32.add (local.get $point) (i32.const 8)))
          (br_if $values (i32.lt_u (local.get $point) (local.get $points))))
        (br $rounds)))
    (i32.store (i32.const 0) (local.get $a))
    (i32.store (i32.const 4) (local.get $b))
    (i32.store (i32.const 8) (local.get $c))
    (i32.store (i32.const 12) (local.get $counter)))

  ;; Swaps the numbers at address 0x30000 from place `last` down to `end` exclusively, each with one before it or itself (Fisher-Yates). Places are
  ;; drawn in blocks of 2048, so that the swaps, which miss the cache, need not wait for draws; what lies in a last part of 2^32 that is not
  ;; whole is drawn again.
  (func (export "shuffle") (param $last i32) (param $end i32)
    (local $a i32) (local $b i32) (local $c i32) (local $counter i32)
    (local $value i32) (local $place i32) (local $bound i32) (local $count i32) (local $k i32)
    (local $at i32) (local $other i32) (local $held i32)
    (local.set $a (i32.load (i32.const 0)))
    (local.set $b (i32.load (i32.const 4)))
    (local.set $c (i32.load (i32.const 8)))
    (local.set $counter (i32.load (i32.const 12)))
    (block $done
      (loop $blocks
        (br_if $done (i32.le_s (local.get $last) (local.get $end)))
        (local.set $count (i32.sub (local.get $last) (local.get $end)))
        (local.set $count (select (i32.const 2048) (local.get $count) (i32.gt_s (local.get $count) (i32.const 2048))))
        (local.set $k (i32.const 0))
        (local.set $bound (i32.add (local.get $last) (i32.const 1)))
        (loop $places
          (loop $again
            ($draw $value)
            (local.set $place (i32.rem_u (local.get $value) (local.get $bound)))
            (br_if $again (i32.gt_u
              (i32.sub (local.get $value) (local.get $place))
              (i32.sub (i32.const 0) (local.get $bound)))))
          (i32.store offset=0x8000 (i32.shl (local.get $k) (i32.const 2)) (i32.shl (local.get $place) (i32.const 2)))
          (local.set $bound (i32.sub (local.get $bound) (i32.const 1)))
          (local.set $k (i32.add (local.get $k) (i32.const 1)))
          (br_if $places (i32.lt_u (local.get $k) (local.get $count))))
        (local.set $k (i32.const 0))
        (local.set $at (i32.shl (local.get $last) (i32.const 2)))
        (loop $swaps
          (local.set $other (i32.load offset=0x8000 (i32.shl (local.get $k) (i32.const 2))))
          (local.set $held (i32.load offset=0x30000 (local.get $at)))
          (i32.store offset=0x30000 (local.get $at) (i32.load offset=0x30000 (local.get $other)))
          (i32.store offset=0x30000 (local.get $other) (local.get $held))
          (local.set $at (i32.sub (local.get $at) (i32.const 4)))
          (local.set $k (i32.add (local.get $k) (i32.const 1)))
          (br_if $swaps (i32.lt_u (local.get $k) (local.get $count))))
        (local.set $last (i32.sub (local.get $last) (local.get $count)))
        (br $blocks)))
    (i32.store (i32.const 0) (local.get $a))
    (i32.store (i32.const 4) (local.get $b))
    (i32.store (i32.const 8) (local.get $c))
    (i32.store (i32.const 12) (local.get $counter))))
