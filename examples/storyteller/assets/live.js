// An open conversation. Without this script every page works by its forms and links; with it words appear as they are written.
//
// The server renders everything: a turn whose state changes is fetched anew, and only words that are being written are put
// in here, as text and never as HTML. Each piece says at which byte it begins, so that it does not matter whether the page
// had it already: what is there is skipped, and what is missing is fetched.
'use strict'

const conversation = document.querySelector('#conversation[data-path]')
if (conversation) live(conversation)

function live(page) {
  const path = page.dataset.path
  const ask = byId('ask')
  const newest = byId('newest')
  let cursor = page.dataset.after
  let source = null
  let failures = 0
  // In which turn a button was pressed last, and when.
  let pressed = {}

  const scroll = following(() => { newest.hidden = scroll.follows || scroll.isAtEnd() })
  newest.addEventListener('click', () => {
    scroll.follows = true
    scroll.toEnd()
    // The focus does not leave with the button; on a phone it would open the keyboard.
    const next = isTouched.matches ? turns.lastElementChild : byId('text')
    next?.focus({ preventScroll: true })
    newest.hidden = true
  })
  function grown() {
    if (scroll.follows) scroll.toEnd()
    else newest.hidden = scroll.isAtEnd()
  }

  const composer = ask && composing(ask, note, () => { if (scroll.follows) scroll.toEnd() })

  // --- What is said to those who do not see it

  function note(words = '', isOfTheConnection = false) {
    const place = byId('note')
    // What is there and put in anew would be read aloud once more.
    if (place.textContent !== words) place.textContent = words
    place.hidden = !words
    place.classList.toggle('lost', isOfTheConnection)
  }
  const lost = () => note('The connection is lost. Trying again…', true)
  function announce(turn) {
    const line = turn.querySelector('.state')?.textContent.trim()
    const teller = turn.dataset.teller ?? 'The storyteller'
    say({ queued: line, typing: `${teller} is writing.`, waiting: `${teller} waits for your decision.`, done: `${teller} has answered.` }[turn.dataset.state] ?? line ?? '')
  }

  // --- Turns

  const turns = byId('turns')
  const { put, remove, refocus, begin, append, renewedAt } = showing(turns, scroll, grown)
  // The end of an answer that this page was not told of: its title may still be to come.
  function awaitTitle() { if (turns.querySelector('[data-state="done"], [data-state="broken"]')) askForTitle(page) }
  const queued = () => [...turns.querySelectorAll('[data-state="queued"]')].map(seqOf)

  // An answer that comes when another stream has taken over is older than the page, and left out: that stream tells what it told.
  async function refresh(seq) {
    const stream = source
    const answer = await fetch(`${path}/turns/${seq}`, { redirect: 'manual' })
    if (stream !== source) return null
    if (answer.status === 404) { remove(turnOf(seq)); return null }
    if (!answer.ok) throw new Error(`the turn cannot be read: ${answer.status}`)
    const fresh = parse(await answer.text()).querySelector('.turn')
    return stream === source && fresh ? put(document.adoptNode(fresh)) : null
  }
  const refreshAloud = async seq => { const turn = await refresh(seq); if (turn) announce(turn) }

  // --- Events, one after the other

  const handlers = {
    run_queued: ({ seq }) => refresh(seq),
    run_started: ({ seq }) => refreshAloud(seq),
    run_settled: async ({ seq }) => { await refreshAloud(seq); askForTitle(page) },
    turn_superseded: ({ seq }) => remove(turnOf(seq)),
    // Questions that wait behind the answer: those that came, and those that do not wait any more.
    waiting: async ({ seqs }) => {
      const before = queued()
      for (const seq of seqs) if (!before.includes(seq)) await refresh(seq)
      for (const seq of before) if (!seqs.includes(seq)) await refresh(seq)
    },
    tool_call: async ({ run }) => {
      const turn = turns.querySelector(`[data-run="${Number(run)}"]`)
      if (turn) await refreshAloud(turn.dataset.seq)
    },
    message_started: async ({ seq, message, role }) => {
      if (byId(`message-${message}`)) return
      if (role !== 'assistant' || !turnOf(seq)) await refresh(seq)
      else begin(seq, message)
    },
    message_appended: async ({ message, offset, text }) => {
      const stream = source
      for (let tries = 0; tries < 20 && stream === source; tries++) {
        const place = byId(`message-${message}`)
        // A message that is not here is of a turn that has left the page.
        if (!place || append(place, offset, text)) return
        await refresh(place.closest('.turn').dataset.seq)
        await wait(100)
      }
      if (stream === source) throw new Error('words are missing')
    },
    message_replaced: ({ seq }) => refresh(seq),
    message_settled: ({ seq }) => refresh(seq)
  }

  // An answer of the server that was overtaken by a later one must not be put in after it: so all of it goes through one line.
  let line = Promise.resolve()
  function next(work) {
    const stream = source
    line = line.then(async () => {
      // What an earlier stream said is told again by the one in its place.
      if (stream === source) await work()
    }).catch(error => { console.warn(error); if (stream === source) again() })
  }

  function follow() {
    source?.close()
    const stream = source = new EventSource(`${path}/events?after=${encodeURIComponent(cursor)}`)
    for (const [name, handler] of Object.entries(handlers)) {
      stream.addEventListener(name, event => next(async () => {
        await handler(JSON.parse(event.data))
        if (stream !== source) return
        cursor = event.lastEventId
        failures = 0
      }))
    }
    stream.addEventListener('open', () => {
      page.dataset.connected = 'yes'
      if (byId('note').classList.contains('lost')) note()
      // The stream tells what waits now, and nothing of what stopped waiting while it was away.
      next(async () => { for (const seq of queued()) await refresh(seq) })
    })
    let late
    stream.addEventListener('error', () => {
      delete page.dataset.connected
      if (stream !== source) return
      // The browser comes back by itself, unless the answer was none: a restart, a sign-out, a conversation that is gone.
      if (stream.readyState === EventSource.CLOSED) again()
      // Where nothing answers it tries on and on, and the page would look as if words were to come.
      else late ??= setTimeout(() => {
        late = null
        if (stream === source && !page.dataset.connected) lost()
      }, 3000)
    })
  }

  function leave() {
    source?.close()
    source = null
    delete page.dataset.connected
  }

  // Begins again, from the page as it is now, at growing intervals.
  async function again(pause = Math.min(500 * 2 ** failures++, 10_000) * (0.75 + Math.random() / 2)) {
    leave()
    const mine = source = { close() {} }
    if (pause) await wait(pause)
    if (source !== mine) return
    try {
      const answer = await fetch(path, { redirect: 'manual' })
      if (answer.type === 'opaqueredirect' || answer.status === 404) { location.reload(); return }
      if (!answer.ok) throw new Error(`the page cannot be read: ${answer.status}`)
      const fresh = parse(await answer.text())
      if (source !== mine) return
      catchUp(fresh)
      cursor = fresh.querySelector('#conversation').dataset.after
      follow()
    } catch (error) {
      console.warn(error)
      if (source !== mine) return
      lost()
      again()
    }
  }

  // The fresh page has the newest turns. Older ones that this page has as well stay, if no turn is missing between the two.
  function catchUp(fresh) {
    const there = new Map([...fresh.querySelectorAll('.turn')].map(turn => [seqOf(turn), turn]))
    const shown = [...turns.children].map(seqOf)
    const first = shown.some(seq => there.has(seq)) ? Math.min(...there.keys()) : -Infinity
    for (const seq of shown) if (seq >= first && !there.has(seq)) remove(turnOf(seq))
    for (const turn of there.values()) put(document.adoptNode(turn))
    refocus(turns.lastElementChild)
    composer?.offer(fresh)
    const hasOlder = turns.children.length > there.size
    if (!hasOlder) byId('earlier').replaceWith(document.adoptNode(fresh.getElementById('earlier')))
    awaitTitle()
  }

  // A browser has six connections to a host, for all its tabs: one that nobody looks at gives its own back, and catches up later.
  let hiding
  function looked() {
    clearTimeout(hiding)
    if (document.visibilityState === 'hidden') hiding = setTimeout(leave, 3000)
    else if (!source) { failures = 0; follow() }
    else hurry()
  }
  document.addEventListener('visibilitychange', looked)
  addEventListener('online', () => { if (source) hurry() })

  // Nobody waits for the next try of a connection that may be there again.
  function hurry() {
    if (page.dataset.connected) return
    failures = 0
    again(0)
  }

  // --- Forms that leave the page where it is

  // What is sent goes as it is now; what of it is written meanwhile stays.
  async function send(form) {
    const isQuestion = form === ask
    const turn = form.closest('.turn')
    const sent = isQuestion ? composer.question() : null
    const body = new FormData(form)
    if (isQuestion && !sent.picture) body.delete('picture')
    form.dataset.sending = 'yes'
    note()
    try {
      // Forms without files are sent as such: the server reads each in its own way.
      const answer = await fetch(form.action, {
        method: 'POST', body: isQuestion ? body : new URLSearchParams(body), redirect: 'manual', headers: { 'x-live': '1' }
      })
      if (isQuestion && answer.ok) { asked(parse(await answer.text()).querySelector('.turn'), sent); return }
      // Of a question that waits behind another the stream says nothing more when it is stopped.
      if (turn) next(() => refresh(seqOf(turn)))
      if (answer.type === 'opaqueredirect') {
        if (isQuestion) note('You are not signed in any more. Keep a copy of your question, and sign in again.')
        return
      }
      note(parse(await answer.text()).querySelector('[data-problem]')?.textContent ?? 'That did not work.')
      // Who was chosen may be the reason: so the form offers who is there now.
      if (isQuestion && answer.status === 422) composer.offer(parse(await (await fetch(path)).text()))
    } catch {
      note('The app cannot be reached. Nothing was sent twice: try again.')
    } finally {
      delete form.dataset.sending
    }
  }

  // A question that waits for its turn is shown at once, with what it was sent with taken out of the form.
  function asked(turn, sent) {
    scroll.follows = true
    if (turn && !turnOf(turn.dataset.seq)) announce(put(document.adoptNode(turn)))
    composer.sent(sent)
  }

  document.addEventListener('submit', event => {
    const form = event.target
    if (!form.matches('form[data-live]')) return
    event.preventDefault()
    if (form.dataset.sending) { if (form === ask) note('One moment: the last question is still on its way.'); return }
    if (form === ask) { if (composer.isReady()) send(form); return }
    // The second click of two hits what took the place of the first one's button.
    const seq = form.closest('.turn')?.dataset.seq
    if (seq && pressed.seq === seq && performance.now() - Math.max(pressed.at, renewedAt(seq)) < 500) return
    pressed = { seq, at: performance.now() }
    send(form)
  })

  scroll.toEnd()
  follow()
  awaitTitle()
  if (document.visibilityState === 'hidden') looked()
  addEventListener('pagehide', leave)
  // From the browser's memory of pages: what happened meanwhile is fetched.
  addEventListener('pageshow', event => { if (event.persisted) { failures = 0; again() } })
}

// A model gives the title, a little after the first answer.
async function askForTitle(page) {
  if (page.dataset.asksForTitle) return
  page.dataset.asksForTitle = 'yes'
  for (let tries = 0; 'untitled' in page.dataset && tries < 30; tries++) {
    await wait(Math.min(500 * (tries + 1), 10_000))
    const answer = await fetch(`${page.dataset.path}/title`, { redirect: 'manual' }).catch(() => null)
    const title = answer?.ok ? await answer.text() : ''
    if (!title) continue
    delete page.dataset.untitled
    byId('title').textContent = title
    document.title = `${title} · Storyteller`
    // Not under the fingers of somebody who writes another one.
    const field = byId('new-title')
    if (field.value === field.defaultValue && document.activeElement !== field) field.value = title
  }
  delete page.dataset.asksForTitle
}
