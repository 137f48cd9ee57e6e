// node tabs.mjs PROGRAM FOLDER TABS: so many streams of one thread while an answer is written. Each must have every word once; what
// the server took for it is printed. See scripts/tabs.
import { Buffer } from 'node:buffer'
import { readFileSync } from 'node:fs'
import { App } from './app.mjs'
import { check, same, until } from './check.mjs'

const [program, folder, count] = process.argv.slice(2)
const tabs = Number(count)
const app = new App(program, folder, { STORYTELLER_DEMO_PACE_MS: '40' })
await app.start()
let cookie = ''

async function go(path, form) {
  const body = form && new URLSearchParams(form)
  const answer = await fetch(app.url + path, { method: form ? 'POST' : 'GET', body, headers: { cookie }, redirect: 'manual' })
  const cookies = answer.headers.getSetCookie().map(one => one.split(';')[0])
  if (cookies.length) cookie = cookies.join('; ')
  return { at: answer.headers.get('location'), text: await answer.text() }
}
const token = page => page.text.match(/name="csrf" value="([^"]+)"/)[1]

// A page's stream, put together as the page does; what it was told twice or not at all ends it.
class Tab {
  text = ''
  bytes = 0
  events = 0
  settled = false

  async follow(thread) {
    const answer = await fetch(`${app.url}${thread}/events`, { headers: { cookie } })
    let rest = ''
    for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
      const blocks = (rest + piece).split('\n\n')
      rest = blocks.pop()
      for (const block of blocks) if (this.take(block)) return
    }
    throw new Error('the stream ended')
  }

  take(block) {
    const kind = block.match(/^event: (.+)$/m)?.[1]
    if (!kind) return false
    this.events++
    const told = JSON.parse(block.match(/^data: (.+)$/m)[1])
    if (kind === 'message_appended') {
      if (told.offset !== this.bytes) throw new Error(`${told.offset} instead of ${this.bytes}`)
      this.text += told.text
      this.bytes += Buffer.byteLength(told.text)
    }
    this.settled = kind === 'run_settled'
    return this.settled
  }
}

// Megabytes in memory, and seconds of processor time.
function taken() {
  const status = readFileSync(`/proc/${app.process.pid}/status`, 'utf8')
  const times = readFileSync(`/proc/${app.process.pid}/stat`, 'utf8').split(') ')[1].split(' ')
  return { megabytes: Number(status.match(/VmRSS:\s+(\d+)/)[1]) / 1024, seconds: (Number(times[11]) + Number(times[12])) / 100 }
}

try {
  await go('/sign-in', { csrf: token(await go('/sign-in')), name: 'Ada' })
  const form = token(await go('/storytellers/new'))
  await go('/storytellers', { csrf: form, name: 'Scheherazade', model: 'gpt-6-luna', description: '', instructions: '', max_prompt_tokens: '', max_output_tokens: '' })
  const made = await go('/threads', { csrf: form })
  const page = await go(made.at)
  const teller = page.text.match(/<option value="(\d+)"/)[1]
  const key = page.text.match(/name="key" value="([^"]+)"/)[1]
  const asked = new FormData()
  for (const [name, value] of Object.entries({ csrf: form, key, text: 'Tell me a story about a lighthouse', teller })) asked.set(name, value)

  const before = taken()
  const all = Array.from({ length: tabs }, () => new Tab())
  const following = all.map(tab => tab.follow(made.at))
  await fetch(`${app.url}${made.at}/messages`, { method: 'POST', body: asked, headers: { cookie }, redirect: 'manual' })
  const begun = Date.now()
  await until('words', () => all.every(tab => tab.bytes > 0))
  const open = taken()
  await Promise.all(following)
  const seconds = (Date.now() - begun) / 1000
  const after = taken()
  check(`a story of ${all[0].bytes} bytes`, all[0].bytes > 300)
  same(`each of ${tabs} tabs has every word once`, tabs, all.filter(tab => tab.text === all[0].text).length)
  const events = all.reduce((sum, tab) => sum + tab.events, 0)
  console.log(`${tabs} tabs, ${events} events in ${seconds.toFixed(1)} s: ${(open.megabytes - before.megabytes).toFixed(1)} MB more in memory while they are open (${open.megabytes.toFixed(0)} MB in all), ${(after.seconds - before.seconds).toFixed(2)} s of processor time`)
} finally {
  await app.kill()
}
