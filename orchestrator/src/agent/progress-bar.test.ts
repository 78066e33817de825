// The bar on a terminal: other lines scroll past it whole, and it fits.
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { barLine, ProgressBar } from './progress-bar.js';

/** What a terminal shows after `text`: carriage returns, erased lines, no colours. */
function screenOf(text: string): string[] {
  const lines = [''];
  // biome-ignore lint/suspicious/noControlCharactersInRegex: terminals are steered by control characters
  for (const [part] of text.matchAll(/\x1b\[[0-9;?]*[A-Za-z]|\x1b[78]|\r|\n|[^\x1b\r\n]+/g)) {
    assert.notEqual(part, '\x1b8', 'the cursor must not jump back');
    const line = lines.length - 1;
    if (part === '\n') lines.push('');
    else if (part === '\r' || part.endsWith('G')) lines[line] = `\r${lines[line]}`;
    else if (part === '\x1b[2K') lines[line] = '';
    else if (!part.startsWith('\x1b')) lines[line] = lines[line].startsWith('\r') ? part : lines[line] + part;
  }
  return lines.map((line) => line.replaceAll('\r', '')).filter((line) => line !== '');
}

test('lines of the log and of standard output scroll past the bar whole', async () => {
  const screen = Object.assign(new PassThrough(), { isTTY: true, columns: 100 });
  let text = '';
  screen.on('data', (chunk) => {
    text += String(chunk);
  });
  const stdout = Object.assign(new PassThrough(), { isTTY: true });
  stdout.on('data', (chunk) => {
    text += String(chunk);
  });
  const { write } = screen;
  const bar = new ProgressBar({ stderr: screen, stdout });
  bar.show(0.1, 'step 1/10');
  screen.write('a line of the log\n');
  await sleep(250);
  stdout.write('a result\n');
  await sleep(450);
  bar.show(0.5, 'step 5/10');
  bar.close();
  screen.write('after\n');
  assert.equal(screen.write, write);
  const lines = screenOf(text);
  assert.deepEqual(lines.slice(0, 2), ['a line of the log', 'a result']);
  assert.match(lines[2], /^ 50% █+░+ {2}step 5\/10/);
  assert.deepEqual(lines.slice(3), ['after']);
});

test('the bar fits the terminal and cuts the end of its text first', () => {
  const text = 'step 5/89650  ETA 12h27m  loss 2.000  120 img/s  data wait 4%  epoch 1';
  for (const columns of [40, 80, 100, 200]) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours take no room
    const line = barLine(0.5, text, columns).replace(/\x1b\[\d+m/g, '');
    assert.ok(line.length < columns, `${line.length} of ${columns}`);
    assert.match(line, /^ 50% █+░+ {2}step 5/);
  }
});
