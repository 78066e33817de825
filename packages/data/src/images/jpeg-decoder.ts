// JPEG to RGB in this thread, by libjpeg-turbo compiled to WebAssembly: the bytes that Pillow decodes, on every machine, at less cost
// than a pipeline of sharp (docs/adr/0018). What it has the least doubt about is left to sharp.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { compileWasm, instantiateWasm, invariant, type WasmModule } from '@slip/core';
import { type PixelImage, pixelImage } from '../transforms/pixel-image.js';

export type Shrink = 1 | 2 | 4 | 8;

/** A picture whose sides were divided by `shrink` (rounded up) while it was decoded. */
export interface ShrunkImage extends PixelImage {
  readonly shrink: Shrink;
}

/** TurboJPEG's C interface. */
interface TurboJpeg {
  readonly memory: { readonly buffer: ArrayBuffer };
  malloc(bytes: number): number;
  tjInitDecompress(): number;
  tjDecompressHeader3(
    ...args: [
      handle: number,
      jpeg: number,
      size: number,
      width: number,
      height: number,
      subsampling: number,
      colourspace: number,
    ]
  ): number;
  tjDecompress2(
    ...args: [
      handle: number,
      jpeg: number,
      size: number,
      to: number,
      width: number,
      pitch: number,
      height: number,
      format: number,
      flags: number,
    ]
  ): number;
}

/** TJPF_RGB and TJPF_CMYK; of TJCS, from here on there are four inks. */
const [RGB, CMYK, FIRST_OF_FOUR_INKS] = [0, 11, 3];
/** Memory of a decoder never shrinks: one that has met something large is left to the garbage collector. */
const KEPT_BYTES = 256 << 20;
/** Tests would not notice if every picture went to sharp. */
let numDecoded = 0;

export function isJpeg(bytes: Uint8Array): boolean {
  return bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff;
}

/**
 * @param shrinkFor chooses the shrink from the size of the picture; throws where it is not to be decoded at all
 * @returns undefined for whatever is damaged or unusual. Its data are valid until the next call.
 */
export function decodeJpeg(
  bytes: Uint8Array,
  shrinkFor: (width: number, height: number) => Shrink,
): ShrunkImage | undefined {
  decoder ??= new JpegDecoder();
  let image: ShrunkImage | undefined;
  try {
    image = decoder.decode(bytes, shrinkFor);
  } finally {
    // Its stack cannot be trusted after a jump out of the middle, nor its handle after an error.
    if (image === undefined || decoder.size > KEPT_BYTES) decoder = undefined;
  }
  if (image !== undefined) numDecoded += 1;
  return image;
}

export function jpegsDecoded(): number {
  return numDecoded;
}

class JpegDecoder {
  private readonly turbo: TurboJpeg;
  private readonly handle: number;
  /** Four 32-bit numbers of a header. */
  private readonly header: number;
  private input = { at: 0, bytes: 0 };
  private output = { at: 0, bytes: 0 };

  constructor() {
    // There is no other way back from an error than to throw.
    const longjmp = () => {
      throw new JumpedOut();
    };
    const nothing = () => 0;
    compiled ??= compileWasm(readFileSync(createRequire(import.meta.url).resolve('@cwasm/jpeg-turbo/jpeg-turbo.wasm')));
    this.turbo = instantiateWasm<TurboJpeg>(compiled, {
      env: { setjmp: nothing, longjmp },
      wasi_snapshot_preview1: {
        ...{ proc_exit: longjmp, environ_sizes_get: nothing, environ_get: nothing },
        ...{ fd_close: nothing, fd_seek: nothing, fd_write: nothing },
      },
    });
    this.handle = this.turbo.tjInitDecompress();
    this.header = this.turbo.malloc(16);
    invariant(this.handle !== 0 && this.header !== 0, 'the JPEG decoder starts');
  }

  get size(): number {
    return this.turbo.memory.buffer.byteLength;
  }

  decode(bytes: Uint8Array, shrinkFor: (width: number, height: number) => Shrink): ShrunkImage | undefined {
    try {
      return this.decodeOrJump(bytes, shrinkFor);
    } catch (error) {
      if (error instanceof JumpedOut) return undefined;
      throw error;
    }
  }

  private decodeOrJump(bytes: Uint8Array, shrinkFor: (width: number, height: number) => Shrink) {
    const { turbo, handle, header } = this;
    this.input = this.atLeast(this.input, bytes.length);
    if (this.input.at === 0) return undefined;
    new Uint8Array(turbo.memory.buffer).set(bytes, this.input.at);
    const source = [handle, this.input.at, bytes.length] as const;
    if (turbo.tjDecompressHeader3(...source, header, header + 4, header + 8, header + 12) !== 0) return undefined;
    const [fullWidth, fullHeight, , colourspace] = new Int32Array(turbo.memory.buffer, header, 4);
    const shrink = shrinkFor(fullWidth, fullHeight);
    const [width, height] = [Math.ceil(fullWidth / shrink), Math.ceil(fullHeight / shrink)];
    const inks = colourspace >= FIRST_OF_FOUR_INKS ? 4 : 3;
    this.output = this.atLeast(this.output, width * height * inks);
    if (this.output.at === 0) return undefined;
    const format = inks === 4 ? CMYK : RGB;
    if (turbo.tjDecompress2(...source, this.output.at, width, width * inks, height, format, 0) !== 0) return undefined;
    const decoded = new Uint8Array(turbo.memory.buffer, this.output.at, width * height * inks);
    return { ...pixelImage(width, height, 3, inks === 4 ? fromInks(decoded) : decoded), shrink };
  }

  /** A place of that size; at 0 where there is no memory for it. */
  private atLeast(place: { at: number; bytes: number }, bytes: number): { at: number; bytes: number } {
    return place.bytes >= bytes ? place : { at: this.turbo.malloc(bytes), bytes };
  }
}

let compiled: WasmModule | undefined;
let decoder: JpegDecoder | undefined;

class JumpedOut extends Error {}

/** Pillow's CMYK to RGB, with inks inverted as Adobe writes them. */
function fromInks(stored: Uint8Array): Uint8Array {
  const rgb = new Uint8Array((stored.length / 4) * 3);
  for (let i = 0, o = 0; i < stored.length; i += 4, o += 3) {
    const light = stored[i + 3];
    for (let c = 0; c < 3; c++) {
      const product = (255 - stored[i + c]) * light + 128;
      rgb[o + c] = Math.max(0, light - ((product + (product >> 8)) >> 8));
    }
  }
  return rgb;
}
