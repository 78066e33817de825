// Pictures that are stored as plain bytes of one size, one behind the other, in a file: nothing to decode.
import { type PixelImage, pixelImage } from '../transforms/pixel-image.js';
import { type ImageSource, readRange, withFile } from './image-source.js';

export interface PixelSource {
  /** For messages: the file, and behind a `#` the number of the picture or where it begins. */
  readonly name: string;
  /** @throws SlipError `data` naming it */
  pixels(): Promise<PixelImage>;
}

/** Whatever `decodeImage` makes pixels of. */
export type PictureSource = ImageSource | PixelSource;

/** One byte a value: `planar` has red, green and blue one after the other; `columns` too, each column by column. */
export interface RawFormat {
  readonly width: number;
  readonly height: number;
  readonly layout: 'grey' | 'planar' | 'columns';
}

export function rawBytes({ width, height, layout }: RawFormat): number {
  return width * height * (layout === 'grey' ? 1 : 3);
}

/** @param offset where its bytes begin in the file */
export function rawPicture(file: string, offset: number, format: RawFormat): PixelSource {
  const name = `${file}#${offset}`;
  return {
    name,
    pixels: () =>
      withFile(file, name, async (handle) => {
        const stored = await readRange(handle, offset, rawBytes(format), name);
        return pixelImage(format.width, format.height, 3, interleaved(stored, format));
      }),
  };
}

function interleaved(stored: Uint8Array, { width, height, layout }: RawFormat): Uint8Array {
  const pixels = width * height;
  const out = new Uint8Array(3 * pixels);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = layout === 'columns' ? x * height + y : y * width + x;
      const to = 3 * (y * width + x);
      for (let c = 0; c < 3; c++) out[to + c] = stored[layout === 'grey' ? at : c * pixels + at];
    }
  }
  return out;
}
