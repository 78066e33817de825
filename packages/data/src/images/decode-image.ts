// Image files to RGB bytes in memory, as Pillow's `convert('RGB')` gives them: no EXIF rotation, no colour management, alpha dropped,
// the first of several frames. docs/data.md states the rules, and where they differ.
import { type PixelImage, pixelImage } from '../transforms/pixel-image.js';
import { fileImage, unreadable } from './image-source.js';
import { decodeJpeg, isJpeg, type Shrink, type ShrunkImage } from './jpeg-decoder.js';
import { loadSharp } from './load-sharp.js';
import type { PictureSource } from './pixel-source.js';

/** Larger pictures are refused before they are unpacked. */
const MAX_PIXELS = 200_000_000;

/** How far a picture of this size may be shrunk while it is decoded. */
export type ShrinkFor = (width: number, height: number) => Shrink;

/** A file that is in memory, and unpacked unless that is done best when it is wanted. */
export type FetchedImage = { readonly name: string } & (
  | { readonly jpeg: Uint8Array }
  | { readonly image: ShrunkImage }
);

/**
 * A file that ends early gives the part that is there, the rest grey (JPEG) or black, as the reference reads it.
 * @param image a path, or wherever the bytes are; pixels that are stored as such are only read
 * @throws SlipError `data` naming the file
 */
export async function decodeImage(image: string | PictureSource): Promise<PixelImage> {
  const fetched = await fetchImage(typeof image === 'string' ? fileImage(image) : image);
  const { width, height, data } = unpackNow(fetched, () => 1) ?? (await unpackSlowly(fetched));
  return pixelImage(width, height, 3, data.slice());
}

/** @throws SlipError `data` naming the file */
export async function fetchImage(source: PictureSource): Promise<FetchedImage> {
  const { name } = source;
  if ('pixels' in source) return { name, image: { ...(await source.pixels()), shrink: 1 } };
  const bytes = await source.bytes();
  if (bytes.length === 0) throw unreadable(name, 'it is empty');
  return isJpeg(bytes) ? { name, jpeg: bytes } : { name, image: await decodeWithSharp(name, bytes) };
}

/**
 * What can be had at once; undefined where it has to be {@link unpackSlowly}. The data are valid until the next call, so nothing may
 * be awaited before they are used.
 * @throws SlipError `data` naming the file
 */
export function unpackNow(fetched: FetchedImage, shrinkFor: ShrinkFor): ShrunkImage | undefined {
  if ('image' in fetched) return fetched.image;
  const { name, jpeg } = fetched;
  return decodeJpeg(jpeg, (width, height) => {
    if (width * height > MAX_PIXELS) {
      throw unreadable(
        name,
        `it has ${width}x${height} pixels; at most ${MAX_PIXELS.toLocaleString('en')} are unpacked`,
      );
    }
    return shrinkFor(width, height);
  });
}

/** @throws SlipError `data` naming the file */
export async function unpackSlowly(fetched: FetchedImage): Promise<ShrunkImage> {
  return 'image' in fetched ? fetched.image : decodeWithSharp(fetched.name, fetched.jpeg);
}

async function decodeWithSharp(name: string, bytes: Uint8Array): Promise<ShrunkImage> {
  const sharp = await loadSharp();
  try {
    const { data, info } = await sharp(bytes, { limitInputPixels: MAX_PIXELS, failOn: 'none', ignoreIcc: true })
      .removeAlpha()
      .toColourspace('srgb')
      .raw()
      .toBuffer({ resolveWithObject: true });
    const rgb = info.channels === 3 ? data : replicateGrey(data, info.channels);
    return { ...pixelImage(info.width, info.height, 3, rgb), shrink: 1 };
  } catch (error) {
    throw unreadable(name, (error as Error).message.split('\n')[0], error);
  }
}

function replicateGrey(data: Uint8Array, channels: number): Uint8Array {
  const rgb = new Uint8Array((data.length / channels) * 3);
  for (let i = 0; i * channels < data.length; i++) rgb.fill(data[i * channels], 3 * i, 3 * i + 3);
  return rgb;
}
