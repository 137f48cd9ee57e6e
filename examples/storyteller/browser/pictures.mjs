// Pictures of every page: desktop and phone, by day and by night.
import { join } from 'node:path'
import { Visitor, settled, words } from './visitor.mjs'

const SIZES = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } }
const STORY = `Here is a **short story** about a lighthouse.

In a village by the sea lived *Mira*, who kept the lamp. Every evening she climbed the stairs and counted them.

> It is smaller than in the songs, and much better.

\`\`\`rust
let steps = (1..=112).map(|step| step * 2).sum::<u32>();
\`\`\`

1. She lit the lamp.
2. She wrote one line.

Since that day nobody there sings of it without leaving room for a pencil.`

// A picture of each of these addresses, in each size and scheme. Of a thread the end is shown, or, where asked for, the beginning.
async function shoot({ page }, folder, list) {
  for (const colorScheme of ['light', 'dark']) {
    for (const [size, viewport] of Object.entries(SIZES)) {
      await page.emulateMedia({ colorScheme })
      await page.setViewportSize(viewport)
      for (const [name, url, place = 'whole'] of list) {
        await page.goto(url)
        if (place !== 'whole') await page.waitForTimeout(300)
        if (place === 'top') await page.evaluate(() => scrollTo(0, 0))
        await page.screenshot({ path: join(folder, `${name}-${size}-${colorScheme}.png`), fullPage: place === 'whole' })
      }
    }
  }
}

export async function pictures(browser, app, model, folder) {
  const ada = await Visitor.come(browser, app.url, 'Ada', { colorScheme: 'light' })
  const page = ada.page
  await shoot(ada, folder, [['welcome', '/threads']])
  model.title = 'The lamp by the sea'
  await ada.hire('Scheherazade', { Description: 'A thousand and one nights, one at a time', Instructions: 'You tell short stories for children.\nEnd each with a question.' })
  const teller = page.url()
  await ada.hire('Homer', { Description: 'Long songs of the sea' })
  const thread = await ada.startThread()
  await page.getByLabel('Answered by').selectOption({ label: 'Scheherazade' })
  model.replies.push(STORY)
  await ada.ask('Tell me a story about a lighthouse')
  await settled(page, 'done')
  await shoot(ada, folder, [['reading', thread, 'top']])
  model.replies.push({ publish: ['The Keeper of the Lamp'] }, 'It is in your stories now.')
  await ada.ask('Please publish it')
  await settled(page, 'waiting')
  await shoot(ada, folder, [['approval', thread, 'end']])
  await page.goto(thread)
  await page.getByRole('button', { name: 'Publish', exact: true }).click()
  await settled(page, 'done')
  model.replies.push(400)
  await page.getByLabel('Answered by').selectOption({ label: 'Homer' })
  await ada.ask('And what happened to the ship?')
  await settled(page, 'failed')
  await shoot(ada, folder, [['failed', thread, 'end']])
  await page.goto(thread)
  model.pace = 60
  model.replies.push('The ship came home in the first light of the third day, and nobody on board had slept. '.repeat(12))
  await page.locator('.turn:last-child').getByRole('button', { name: 'Try again' }).click()
  await words(page, 12)
  await ada.ask('Was it raining?')
  await page.locator('.state.queued').waitFor()
  await shoot(ada, folder, [
    ['thread', thread, 'end'], ['threads', '/threads'], ['storytellers', '/storytellers'], ['storyteller', teller],
    ['edit', `${teller}/edit`], ['stories', '/stories'], ['story', '/stories/1'], ['account', '/account'],
    ['operations', '/operations'], ['not-found', '/nothing']
  ])
  const stranger = await Visitor.come(browser, app.url)
  await shoot(stranger, folder, [['sign-in', '/sign-in']])
}
