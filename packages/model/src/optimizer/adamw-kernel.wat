;; AdamW over a tile of the arenas, in double precision as adamw.ts states it, bit for bit. Compiled into adamw-kernel-binary.ts by
;; `npm run kernels -w @slip/model`; a test holds the two together.
(module
  ;; Four tiles of 8192 float32 one after another: parameters, gradients, exp_avg, exp_avg_sq. Between them 128 bytes, so that they do not
  ;; fall into the same lines of the cache.
  (memory (export "memory") 3)

  (macro $floats (param $offset_load) (f64x2.promote_low_f32x4 $offset_load))

  ;; @param end  bytes of a tile that are in use, rounded up to two elements
  (func (export "update") (param $end i32)
    (param $gradScale f64) (param $beta1 f64) (param $rest1 f64) (param $beta2 f64) (param $rest2 f64)
    (param $keep f64) (param $stepSize f64) (param $correction f64) (param $eps f64)
    (local $at i32)
    (local $g v128) (local $m v128) (local $v v128)
    (local $gradScales v128) (local $beta1s v128) (local $rest1s v128) (local $beta2s v128) (local $rest2s v128)
    (local $keeps v128) (local $stepSizes v128) (local $corrections v128) (local $epss v128)
    (local.set $gradScales (f64x2.splat (local.get $gradScale)))
    (local.set $beta1s (f64x2.splat (local.get $beta1)))
    (local.set $rest1s (f64x2.splat (local.get $rest1)))
    (local.set $beta2s (f64x2.splat (local.get $beta2)))
    (local.set $rest2s (f64x2.splat (local.get $rest2)))
    (local.set $keeps (f64x2.splat (local.get $keep)))
    (local.set $stepSizes (f64x2.splat (local.get $stepSize)))
    (local.set $corrections (f64x2.splat (local.get $correction)))
    (local.set $epss (f64x2.splat (local.get $eps)))
    (loop $pairs
      (local.set $g (f64x2.mul ($floats (v128.load64_zero offset=0x8080 (local.get $at))) (local.get $gradScales)))
      (local.set $m (f64x2.add
        (f64x2.mul (local.get $beta1s) ($floats (v128.load64_zero offset=0x10100 (local.get $at))))
        (f64x2.mul (local.get $rest1s) (local.get $g))))
      (local.set $v (f64x2.add
        (f64x2.mul (local.get $beta2s) ($floats (v128.load64_zero offset=0x18180 (local.get $at))))
        (f64x2.mul (f64x2.mul (local.get $rest2s) (local.get $g)) (local.get $g))))
      (v128.store64_lane offset=0x10100 0 (local.get $at) (f32x4.demote_f64x2_zero (local.get $m)))
      (v128.store64_lane offset=0x18180 0 (local.get $at) (f32x4.demote_f64x2_zero (local.get $v)))
      (v128.store64_lane 0 (local.get $at)
        (f32x4.demote_f64x2_zero (f64x2.sub
          (f64x2.mul ($floats (v128.load64_zero (local.get $at))) (local.get $keeps))
          (f64x2.div
            (f64x2.mul (local.get $stepSizes) (local.get $m))
            (f64x2.add (f64x2.mul (f64x2.sqrt (local.get $v)) (local.get $corrections)) (local.get $epss))))))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $pairs (i32.lt_u (local.get $at) (local.get $end))))))
