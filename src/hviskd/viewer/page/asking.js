// Asks the viewer that serves this page.

/** Return the JSON at a path; what is refused becomes an Error that says why. */
export async function ask(path) {
  const answer = await fetch(path);
  if (answer.ok) return answer.json();
  const said = await answer.json().catch(() => ({}));
  throw new Error(said.problem ?? `the viewer answered ${answer.status}; is it still running?`);
}

/** Return the bytes at a path. */
export async function askBytes(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`the viewer answered ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}
