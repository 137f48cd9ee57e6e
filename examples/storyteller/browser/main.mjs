// node main.mjs PROGRAM PLAYWRIGHT CHROMIUM FOLDER [PICTURES]: see scripts/storyteller.
import { mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { App, stuck } from './app.mjs'
import { Model } from './model.mjs'
import { goodbye, journey, killed, otherUsers, published } from './journey.mjs'
import { hostile, keyboard } from './hostile.mjs'
import { scrolling } from './scroll.mjs'
import { asking, chatting, titled } from './asking.mjs'
import { long, several } from './several.mjs'
import { focused, illustrated, staying } from './place.mjs'
import { attaching, drafting, returning, touching } from './drafts.mjs'
import { deciding, doubled, ended, renewed } from './forms.mjs'
import { looks } from './looks.mjs'
import { pictures } from './pictures.mjs'

const [program, playwright, executablePath, folder, shots] = process.argv.slice(2)
const { chromium } = createRequire(join(playwright, 'package.json'))('playwright-core')
const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
const model = new Model()
const apps = []

async function app(name, environment) {
  mkdirSync(join(folder, name))
  const one = new App(program, join(folder, name), environment)
  apps.push(one)
  await one.start()
  return one
}

// Playwright gives each start a user folder of its own, and removes it.
const browser = await chromium.launch({ executablePath, args, headless: true })

// A part that fails does not keep the others from being seen.
async function part(name, work) {
  try {
    await work()
  } catch (error) {
    console.log(`${name}: ${error.message}`)
    for (const page of browser.contexts().flatMap(context => context.pages())) {
      console.log(page.url(), (await page.locator('main').innerText().catch(() => '')).slice(0, 1500))
    }
    process.exitCode = 1
  }
  for (const context of browser.contexts()) await context.close()
}

try {
  await part('the path of a new user', async () => {
    const demo = await app('demo', { STORYTELLER_DEMO_PACE_MS: '40' })
    const path = await journey(browser, demo)
    await killed(demo, path)
    await published(demo, path)
    await otherUsers(browser, demo, path)
    await goodbye(path)
    await stuck(demo)
  })
  const scripted = await app('scripted', await model.start())
  await part('a hostile model', () => hostile(browser, scripted, model))
  await part('the keyboard', () => keyboard(browser, scripted, model))
  await part('scrolling', () => scrolling(browser, scripted, model))
  await part('a reader who stays', () => staying(browser, scripted, model))
  await part('a thread with pictures', () => illustrated(browser, scripted, model))
  await part('the focus', () => focused(browser, scripted, model))
  await part('pictures and storytellers of a question', () => attaching(browser, scripted, model))
  await part('drafts', () => drafting(browser, scripted, model))
  await part('other keyboards', () => touching(browser, scripted))
  await part('coming back', () => returning(browser, scripted))
  await part('asking', () => asking(browser, scripted, model))
  await part('two stories of one answer', () => deciding(browser, scripted, model))
  await part('a double click', () => doubled(browser, scripted))
  await part('another sign-in', () => renewed(browser, scripted))
  await part('the end of a session', () => ended(browser, scripted))
  await part('a late title', () => titled(browser, scripted, model))
  await part('chatting', () => chatting(browser, scripted, model))
  await part('several tabs', () => several(browser, scripted, model))
  await part('a long thread', () => long(browser, scripted, model))
  await part('looks', () => looks(browser, scripted, model))
  if (shots) {
    mkdirSync(shots, { recursive: true })
    const { DATABASE_URL, PORT, ...same } = scripted.environment
    const gallery = await app('pictures', { ...same, OPENAI_MODEL: 'gpt-6-luna' })
    await part('pictures', () => pictures(browser, gallery, model, shots))
    console.log(`the pictures are in ${shots}`)
  }
} finally {
  await browser.close()
  for (const one of apps) await one.kill()
  model.stop()
}
