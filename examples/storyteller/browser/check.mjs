// Checks: each prints a line that begins with `ok`, and the first that fails ends the run.
export function check(what, holds, shown = '') {
  if (!holds) throw new Error(`failed: ${what}${shown === '' ? '' : `: ${shown}`}`)
  console.log(`ok ${what}`)
}

export function same(what, wanted, found) {
  if (wanted !== found) throw new Error(`failed: ${what}:\n${found}\ninstead of\n${wanted}`)
  console.log(`ok ${what}`)
}

// Waits until it is true, for half a minute at most; what it gave.
export async function until(what, so) {
  for (const end = Date.now() + 30_000; Date.now() < end;) {
    const found = await so()
    if (found) return found
    await new Promise(done => setTimeout(done, 50))
  }
  throw new Error(`failed: this never came true: ${what}`)
}
