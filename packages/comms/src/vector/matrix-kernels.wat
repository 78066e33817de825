;; Vector kernels for matrices that are nearly of low rank. Lengths are rounded up to the next 16 bytes: callers fill the rest with
;; zeros. Compiled into matrix-kernels-binary.ts by `npm run kernels -w @slip/comms`; a test holds the two together.
(module
  (memory (export "memory") 1)

  ;; sum of a[i] * b[i], float32: four sums of every fourth product, then (0 + 2) + (1 + 3)
  (func (export "dot") (param $a i32) (param $b i32) (param $bytes i32) (result f32)
    (local $end i32) (local $sum v128)
    (local.set $end (i32.add (local.get $a) (local.get $bytes)))
    (block $over
      (loop $rest
        (br_if $over (i32.ge_u (local.get $a) (local.get $end)))
        (local.set $sum
          (f32x4.add (local.get $sum) (f32x4.mul (v128.load (local.get $a)) (v128.load (local.get $b)))))
        (local.set $a (i32.add (local.get $a) (i32.const 16)))
        (local.set $b (i32.add (local.get $b) (i32.const 16)))
        (br $rest)))
    (f32.add
      (f32.add (f32x4.extract_lane 0 (local.get $sum)) (f32x4.extract_lane 2 (local.get $sum)))
      (f32.add (f32x4.extract_lane 1 (local.get $sum)) (f32x4.extract_lane 3 (local.get $sum)))))

  ;; into[i] += scale * x[i], float32
  (func (export "addScaled") (param $into i32) (param $x i32) (param $scale f32) (param $bytes i32)
    (local $end i32) (local $scales v128)
    (local.set $scales (f32x4.splat (local.get $scale)))
    (local.set $end (i32.add (local.get $into) (local.get $bytes)))
    (block $over
      (loop $rest
        (br_if $over (i32.ge_u (local.get $into) (local.get $end)))
        (v128.store (local.get $into)
          (f32x4.add (v128.load (local.get $into)) (f32x4.mul (local.get $scales) (v128.load (local.get $x)))))
        (local.set $into (i32.add (local.get $into) (i32.const 16)))
        (local.set $x (i32.add (local.get $x) (i32.const 16)))
        (br $rest)))))
