/** The word that was probably meant. */

/** Optimal string alignment: insertions, deletions, replacements and swaps of neighbours. */
export function editDistance(a: string, b: string): number {
  let [twoAgo, oneAgo]: [number[], number[]] = [[], Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (oneAgo[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? (twoAgo[j - 2] ?? 0) + 1 : Infinity;
      row.push(Math.min(replaced, swapped, (oneAgo[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    [twoAgo, oneAgo] = [oneAgo, row];
  }
  return oneAgo[b.length] ?? 0;
}

/** The nearest of `words`, whatever their case; undefined when none is within a third of its letters. */
export function nearest(word: string, words: Iterable<string>): string | undefined {
  let best: { readonly word: string; readonly distance: number } | undefined;
  for (const candidate of words) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    const near = distance <= Math.max(1, Math.floor(candidate.length / 3));
    if (near && (!best || distance < best.distance)) best = { word: candidate, distance };
  }
  return best?.word;
}
