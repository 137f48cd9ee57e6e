// What pages have: times in the reader's zone, answers that can be copied; and of a conversation where its reader is, and the form of
// its question. What happens in a conversation while it is open is in live.js.
'use strict'

const byId = id => document.getElementById(id)
const parse = html => new DOMParser().parseFromString(html, 'text/html')
const wait = ms => new Promise(done => setTimeout(done, ms))

function improve(root) {
  for (const time of root.querySelectorAll('time[datetime]')) {
    const at = new Date(time.dateTime)
    const today = at.toDateString() === new Date().toDateString()
    time.textContent = at.toLocaleString([], today ? { timeStyle: 'short' } : { dateStyle: 'medium', timeStyle: 'short' })
  }
  for (const button of root.querySelectorAll('button[data-copy]')) button.hidden = !navigator.clipboard
  for (const picture of root.querySelectorAll('a.picture img')) picture.loading = 'lazy'
}

document.addEventListener('click', async event => {
  const button = event.target.closest('button[data-copy]')
  if (!button) return
  const texts = [...button.closest('.turn').querySelectorAll('.message.assistant .text')]
  await navigator.clipboard.writeText(texts.map(text => text.innerText).join('\n\n'))
  button.textContent = 'Copied'
  setTimeout(() => { button.textContent = 'Copy' }, 1500)
})

document.documentElement.classList.add('scripted')
improve(document)

// The page follows what grows at its end until the reader moves up, by whatever means. `moved` is told where that leaves it.
function following(moved) {
  const root = document.scrollingElement
  const rest = () => root.scrollHeight - root.scrollTop - root.clientHeight
  let lastTop = root.scrollTop
  // Where the page put itself: an event that finds it there tells of no move of the reader's, whatever grew since.
  let ours = lastTop
  const state = {
    follows: true,
    isAtEnd: () => rest() < 80,
    toEnd() { root.scrollTop = root.scrollHeight; ours = root.scrollTop }
  }
  const letGo = () => { if (root.scrollTop > 0) { state.follows = false; moved() } }
  addEventListener('scroll', () => {
    // What grows below moves nothing, so a move upwards is the reader's; one that ends at the very end only lost what was there.
    const top = root.scrollTop
    if (top !== ours) {
      ours = -1
      if (top < lastTop) state.follows = rest() < 2
      else if (top > lastTop && state.isAtEnd()) state.follows = true
    }
    lastTop = top
    moved()
  }, { passive: true })
  // A smooth move up is small at first, and words that come meanwhile would undo it: so the wish alone lets go.
  addEventListener('wheel', event => { if (event.deltaY < 0) letGo() }, { passive: true })
  addEventListener('keydown', event => {
    const writes = event.target.closest?.('input, textarea, select')
    if (!writes && ['ArrowUp', 'PageUp', 'Home'].includes(event.key)) letGo()
  })
  let touched = 0
  addEventListener('touchstart', event => { touched = event.touches[0].clientY }, { passive: true })
  addEventListener('touchmove', event => {
    if (event.touches[0].clientY > touched + 4) letGo()
    touched = event.touches[0].clientY
  }, { passive: true })
  addEventListener('resize', () => { if (state.follows) state.toEnd() })
  return state
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

// The form of a question. Whether it can be sent is seen before; `note` says what is wrong, `grown` is told when it grows.
function composing(form, note, grown) {
  const text = byId('text')
  const picture = byId('picture')
  let tried = null

  const question = () => ({ text: text.value, teller: byId('teller').value, picture: picture.files[0] })
  function anew() {
    const bytes = [...crypto.getRandomValues(new Uint8Array(24))]
    form.elements.key.value = bytes.map(byte => byte.toString(16).padStart(2, '0')).join('')
  }

  function isReady() {
    const now = question()
    if (!now.text.trim() && !now.picture) { note('Write something first.'); text.focus(); return false }
    if (!isShort()) { note(`This question is too long: ${byId('count').textContent}.`); return false }
    if (!isFit()) return false
    // A key says that two tries are one question. Whoever says something else means another one.
    if (tried && Object.keys(now).some(part => now[part] !== tried[part])) anew()
    tried = now
    return true
  }

  function isFit() {
    const file = picture.files[0]
    const most = Number(picture.dataset.most) * 1_000_000
    const kinds = picture.accept.split(',')
    const problem = !file ? '' : file.size > most ? 'This picture is too large.' : kinds.includes(file.type) ? '' : 'This is none of these pictures.'
    note(problem)
    byId('picture-name').textContent = file ? `: ${file.name}` : ''
    byId('picture-about').classList.toggle('problem', Boolean(problem))
    return !problem
  }

  // Near its limit the length is shown, and nothing is cut.
  function isShort() {
    const most = Number(text.dataset.most)
    const length = [...text.value.trim()].length
    const count = byId('count')
    count.hidden = length < most * 0.9
    count.textContent = `${length.toLocaleString('en')} of ${most.toLocaleString('en')} characters`
    count.classList.toggle('problem', length > most)
    return length <= most
  }

  function grow() {
    text.style.height = 'auto'
    text.style.height = `${Math.min(text.scrollHeight + 2, innerHeight / 3)}px`
    isShort()
    grown()
  }

  // What was sent leaves the form; what was written since stays in it.
  function sent(question) {
    if (text.value === question.text) text.value = ''
    if (picture.files[0] === question.picture) { picture.value = ''; isFit() }
    tried = null
    anew()
    grow()
    text.focus()
  }

  text.addEventListener('input', grow)
  text.addEventListener('keydown', event => {
    // Enter that ends a composition, as in Japanese, is none of ours.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
    event.preventDefault()
    form.requestSubmit()
  })
  picture.addEventListener('change', isFit)
  // Files are taken anywhere on the page; words that are dropped go where they are dropped.
  const hasFiles = event => event.dataTransfer?.types.includes('Files')
  addEventListener('dragover', event => { if (hasFiles(event)) event.preventDefault() })
  addEventListener('drop', event => {
    if (!hasFiles(event)) return
    event.preventDefault()
    picture.files = event.dataTransfer.files
    isFit()
  })
  return { question, isReady, sent }
}
