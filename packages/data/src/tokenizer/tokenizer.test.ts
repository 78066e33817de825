// The tokenizer against the reference's ids, and what must hold for any text.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { unescapeHtml } from './clean-text.js';
import { Tokenizer } from './tokenizer.js';
import { END_OF_TEXT, loadVocabulary, START_OF_TEXT, VOCAB_SIZE } from './vocabulary.js';

const root = path.resolve(import.meta.dirname, '../../../..');
const { tokenizer: golden } = JSON.parse(readFileSync(path.join(root, 'test/golden/vectors.json'), 'utf8')) as {
  tokenizer: { text: string; ids: number[]; untruncated_len: number }[];
};
const tokenizer = Tokenizer.load();

test("golden texts give the reference's ids", () => {
  assert.equal(golden.length, 21);
  for (const { text, ids, untruncated_len } of golden) {
    const row = tokenizer.tokenize(text, { truncate: 'drop-eot' });
    assert.deepEqual([...row.subarray(0, ids.length)], ids, JSON.stringify(text));
    assert.ok(row.subarray(ids.length).every((id) => id === 0));
    assert.equal(tokenizer.encode(text).length + 2, untruncated_len, JSON.stringify(text));
  }
});

test("HTML references are resolved as Python's html.unescape does it", () => {
  const file = path.join(root, 'test/golden/html-unescape.json');
  const cases = JSON.parse(readFileSync(file, 'utf8')) as [reference: string, text: string][];
  assert.equal(cases.length, 3447);
  for (const [reference, text] of cases) assert.equal(unescapeHtml(reference), text, reference);
});

test('a caption that is too long keeps its end token unless told otherwise', () => {
  const long = 'word '.repeat(200);
  assert.equal(tokenizer.tokenize(long)[76], END_OF_TEXT);
  assert.notEqual(tokenizer.tokenize(long, { truncate: 'drop-eot' })[76], END_OF_TEXT);
});

test('any text gives ids in range, start first, end once', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary', maxLength: 60 }),
      fc.integer({ min: 3, max: 40 }),
      (text, contextLength) => {
        const row = tokenizer.tokenize(text.replaceAll('<|', ''), { contextLength });
        assert.equal(row.length, contextLength);
        assert.equal(row[0], START_OF_TEXT);
        assert.equal(row.filter((id) => id === END_OF_TEXT).length, 1);
        assert.ok(row.every((id) => id >= 0 && id < VOCAB_SIZE));
      },
    ),
    { numRuns: 300 },
  );
});

test('decoding gives the words back', () => {
  assert.equal(
    tokenizer.decode(tokenizer.encode('a photo of a café, naïve 日本')).trim(),
    'a photo of a café , naïve 日本',
  );
});

const published = path.resolve(root, '../shared/data/bpe_simple_vocab_16e6.txt.gz');
test('the packaged merges are the published ones', {
  skip: existsSync(published) ? false : 'the published file is not here',
}, () => {
  const merges = gunzipSync(readFileSync(published)).toString('utf8').split('\n').slice(1, 48895);
  assert.deepEqual([...loadVocabulary().ranks.keys()], merges);
});
